"""A version of labels with its provenance: what each label was made from, by what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import polars as pl

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.table import ROW_ID
from gristmill.label.labels import Labels
from gristmill.label.versions.content import CONTENT, content_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gristmill.data.table import TableLike
    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.explain import Explanation
    from gristmill.label.gold import Gold

_FILE = "version.json"
CONTENT_FILE, SOURCES_FILE = "content.parquet", "sources.parquet"


class Made(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a version came about.

    A version made by a step of a pipeline leaves these out: the project's record of runs has them.

    Attributes:
        run: id of the run.
        time: when, ISO 8601 in UTC.
        functions: file of the labelling functions.
        data: file of the rows.
        gold: file of the experts' labels.
        by: the program and its version.
    """

    run: str | None = None
    time: str | None = None
    functions: str | None = None
    data: str | None = None
    gold: str | None = None
    by: str | None = None


@dataclass(frozen=True, eq=False)
class LabelVersion:
    """Labels, and all that they were made from.

    A folder of a version is also a folder of labels: `Labels.load` reads it.

    Attributes:
        labels: value, weight and origin of each label; votes and the versions of their sources.
        content: frame of `row_id` and `content`, the hash of each row as it was labelled.
        sources: frame with a row for each source: `source`, `fingerprint`, `coverage`; `correct`,
            `incorrect`, `accuracy`, `low`, `high`: votes on gold rows and the share of them that is
            right, with its 95 % Wilson interval (null without gold); `estimated`, the accuracy that
            the model believes in (null where it tells none).
        made: run, time and files.
    """

    labels: Labels
    content: pl.DataFrame
    sources: pl.DataFrame
    made: Made

    @classmethod
    def of(
        cls,
        labels: Labels,
        table: TableLike,
        *,
        gold: Gold | None = None,
        estimated: Mapping[str, float] | None = None,
        made: Made | None = None,
    ) -> Self:
        """Put a version together.

        Args:
            labels: of the rows of `table`.
            table: what was labelled.
            gold: what the sources are measured on; default is the gold rows of the labels.
            estimated: source -> accuracy, as the model sees it.
            made: how it came about.

        Raises:
            LabelError: the table has other rows than the labels, or gold does not fit.
        """
        content = content_hashes(table)
        if not content[ROW_ID].equals(labels.votes.row_ids):
            raise LabelError(
                f"the table of {content.height} rows is not the one of these {len(labels)} labels",
                fix="pass the table that the labelling functions were applied to",
            )
        return cls(labels, content, _sources(labels, gold, estimated or {}), made or Made())

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"LabelVersion({self.labels!r})"

    def __fingerprint__(self) -> str:
        return fingerprint([self.labels, self.content, self.sources, self.made])

    @property
    def table(self) -> pl.DataFrame:
        """The labels' table with the content hash of each row."""
        return self.labels.table.hstack([self.content[CONTENT]])

    def explain(self, row_id: int | str) -> Explanation:
        """Say why a row has its label; as `Labels.explain`."""
        return self.labels.explain(row_id)

    def provenance(self, row_id: int | str) -> dict[str, object]:
        """Return all that is known of one label, JSON-able.

        `row_id`, `content`, `label` (name), `weight`, `origin`, `model` (fingerprint), the fields
        of `made`, and for each source that voted, failed or did not run: `source`, `fingerprint`,
        `state`, `vote`, `log_odds`, and its measured and estimated quality.

        Raises:
            LabelError: no such row.
        """
        told = self.explain(row_id)
        quality = {each["source"]: each for each in self.sources.to_dicts()}
        said = [
            {
                **quality[each.source],
                "state": each.state,
                "vote": each.vote,
                "log_odds": each.log_odds,
            }
            for each in told.evidence
            if each.state != "abstained"
        ]
        return {
            "row_id": told.row_id,
            "content": self.content[CONTENT][self.labels.votes.position(row_id)],
            "label": told.label,
            "weight": told.weight,
            "origin": told.source,
            "model": self.labels.model,
            "made": msgspec.to_builtins(self.made),
            "sources": said,
        }

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: the labels', each source's quality, and what made them."""
        summary = self.labels.describe()
        quality = [{"name": each.pop("source"), **each} for each in self.sources.to_dicts()]
        made = msgspec.to_builtins(self.made)
        return {**summary, "kind": "label version", "sources_quality": quality, "made": made}

    def save(self, folder: Path) -> None:
        """Write the labels' files, `content.parquet`, `sources.parquet` and `version.json`."""
        self.labels.save(folder)
        self.content.write_parquet(folder / CONTENT_FILE)
        self.sources.write_parquet(folder / SOURCES_FILE)
        save_made(self.made, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the files are not there or do not belong together.
        """
        labels = Labels.load(folder)
        try:
            made = msgspec.json.decode((folder / _FILE).read_bytes(), type=Made)
            content = pl.read_parquet(folder / CONTENT_FILE, hive_partitioning=False)
            sources = pl.read_parquet(folder / SOURCES_FILE, hive_partitioning=False)
        except (OSError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
            raise LabelError(
                f"this is no stored version of labels: {error}", where=str(folder)
            ) from error
        ids, names = labels.votes.row_ids, list(labels.votes.names)
        if not content.to_series(0).equals(ids) or sources.to_series(0).to_list() != names:
            raise LabelError("the files of this version do not belong together", where=str(folder))
        return cls(labels, content, sources, made)


def save_made(made: Made, folder: Path) -> None:
    """Write `version.json`."""
    (folder / _FILE).write_bytes(msgspec.json.encode(made))


def is_version(folder: Path) -> bool:
    """Say whether a folder holds a version, rather than bare labels."""
    return (folder / _FILE).is_file()


def labels_of(version: Labels | LabelVersion) -> Labels:
    """Return the labels of a version; labels as they are."""
    return version.labels if isinstance(version, LabelVersion) else version


def _sources(labels: Labels, gold: Gold | None, estimated: Mapping[str, float]) -> pl.DataFrame:
    from gristmill.label.analysis.summary import analyze

    if gold is None:
        known = labels.table.filter(pl.col("source") == "gold")
        gold = known.select(ROW_ID, "label") if known.height else None
    return source_table(analyze(labels.votes, gold), labels.votes.fingerprints, estimated)


def source_table(
    analysis: Analysis, marks: Sequence[str], estimated: Mapping[str, float]
) -> pl.DataFrame:
    """Return what a version says of its sources; see `LabelVersion.sources`.

    Args:
        analysis: of the votes, with gold if there is any.
        marks: fingerprints of the sources.
        estimated: source -> accuracy, as the model sees it.
    """
    schema = {
        "source": pl.String,
        "fingerprint": pl.String,
        "coverage": pl.Float64,
        "correct": pl.Int64,
        "incorrect": pl.Int64,
        "accuracy": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "estimated": pl.Float64,
    }
    records = [
        {
            "source": each.source,
            "fingerprint": mark,
            "estimated": estimated.get(each.source),
            **{name: getattr(each, name) for name in ("coverage", "correct", "incorrect")},
            **{name: getattr(each, name) for name in ("accuracy", "low", "high")},
        }
        for each, mark in zip(analysis.sources, marks, strict=True)
    ]
    return pl.DataFrame(records, schema=schema)
