"""Labels: what is known of each row, how surely, and from whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.data.table import ROW_ID
from gristmill.label.explain import Explanation, Scoring, explain
from gristmill.label.votes import Votes

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLD, MODEL, NONE = "gold", "model", "none"
_TIE = 1e-9


class _Header(msgspec.Struct, frozen=True):
    method: str
    model: str
    facts: dict[str, float]
    scoring: Scoring | None


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of n rows with k classes, and what explains them.

    Attributes:
        table: Polars frame: `row_id`; `label` (int64, -1 where nothing is known or the best classes
            tie); `probs` (k float64, they sum to 1); `weight` (float64, 0 to 1: how much the row
            should count in training); `source` ("gold", "model", or "none" where nobody voted).
        votes: what the sources said.
        method: the kind of model, as "label model" or "majority vote".
        model: fingerprint of the fitted model.
        facts: figures of the model worth keeping: trust, temperature, gold rows.
        scoring: how the votes add up, where they do.
    """

    table: pl.DataFrame
    votes: Votes
    method: str
    model: str
    facts: Mapping[str, float]
    scoring: Scoring | None

    @property
    def classes(self) -> tuple[str, ...]:
        """The k class names."""
        return self.votes.classes

    def __len__(self) -> int:
        return self.table.height

    def __fingerprint__(self) -> str:
        return fingerprint([self.table, self.votes, self.method, self.model])

    def __repr__(self) -> str:
        return f"Labels({len(self)} rows, {len(self.classes)} classes, {self.method})"

    def explain(self, row_id: int | str) -> Explanation:
        """Say why a row has its label: each source's vote and what it added to the log-odds.

        Raises:
            LabelError: no such row.
        """
        position = self.votes.position(row_id)
        row = self.table.row(position, named=True)
        votes = [
            (name, mark, int(vote), self.votes.state(row_id, name))
            for name, mark, vote in zip(
                self.votes.names,
                self.votes.fingerprints,
                self.votes.matrix[position],
                strict=True,
            )
        ]
        return explain(
            row[ROW_ID],
            row["label"],
            row["source"],
            row["weight"],
            np.array(row["probs"]),
            votes,
            self.classes,
            self.scoring,
        )

    def compare(self, other: Labels) -> pl.DataFrame:
        """Return the rows on which two versions differ, in the order of this one, then the other.

        Columns: `row_id`; `change` ("label", "source", "probs", "added", "removed");
        `label_before`, `label_after`; `prob_before`, `prob_after` (of the most probable class);
        `source_before`, `source_after`; `votes_changed`, the names of the sources that answer
        otherwise now.

        Raises:
            LabelError: the versions have different classes, or row ids of different kinds.
        """
        from gristmill.label.versions.changes import changed_rows

        return changed_rows(self, other)

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: rows by source and class, weights, model, functions."""
        label = self.table["label"].to_numpy()
        origin = self.table["source"]
        return {
            "kind": "labels",
            "rows": len(self),
            "method": self.method,
            "model": self.model,
            "classes": {name: int((label == code).sum()) for code, name in enumerate(self.classes)},
            "unlabelled": int((label < 0).sum()),
            "sources": {name: int((origin == name).sum()) for name in (GOLD, MODEL, NONE)},
            "mean_weight": float(self.table["weight"].mean() or 0.0),  # type: ignore[arg-type]
            "facts": dict(self.facts),
            "functions": dict(zip(self.votes.names, self.votes.fingerprints, strict=True)),
        }

    def save(self, folder: Path | str) -> None:
        """Write `labels.parquet`, `labels.json` and a folder `votes` into an empty folder."""
        folder = Path(folder)
        self.table.write_parquet(folder / "labels.parquet")
        self.save_header(folder)
        (folder / "votes").mkdir()
        self.votes.save(folder / "votes")

    def save_header(self, folder: Path) -> None:
        """Write `labels.json`: all that does not grow with the rows."""
        header = _Header(self.method, self.model, dict(self.facts), self.scoring)
        (folder / "labels.json").write_bytes(msgspec.json.encode(header))

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the files are not there or do not belong together.
        """
        folder = Path(folder)
        try:
            header = msgspec.json.decode((folder / "labels.json").read_bytes(), type=_Header)
            table = pl.read_parquet(folder / "labels.parquet", hive_partitioning=False)
        except (OSError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
            raise LabelError(f"these are no stored labels: {error}", where=str(folder)) from error
        votes = Votes.load(folder / "votes")
        return cls(table, votes, header.method, header.model, header.facts, header.scoring)


def build_labels(
    votes: Votes,
    probs: NDArray[np.float64],
    known: NDArray[np.bool_],
    gold: NDArray[np.int64],
    *,
    method: str,
    model: str,
    trust: float = 1.0,
    facts: Mapping[str, float] | None = None,
    scoring: Scoring | None = None,
) -> Labels:
    """Put labels together from probabilities and gold.

    A gold row has its gold class, probability 1 and weight 1. A weak row's weight is how far its
    best probability p lies above chance, (k p - 1) / (k - 1), times the trust. A row of which
    nothing is known has weight 0.

    Args:
        votes: int[n, m].
        probs: float64[n, k].
        known: bool[n], whether anybody voted on the row.
        gold: int64[n], -1 where unknown.
        method: what made the probabilities.
        model: its fingerprint.
        trust: 0 to 1.
        facts: figures to keep.
        scoring: how votes add up.
    """
    is_gold = gold >= 0
    probs = probs.copy()
    probs[is_gold] = 0.0
    probs[is_gold, gold[is_gold]] = 1.0
    label = np.where(known | is_gold, winners(probs), -1)
    origin = np.where(is_gold, 0, np.where(known, 1, 2)).astype(np.uint8)
    table = pl.DataFrame(
        {
            ROW_ID: votes.row_ids,
            "label": label.astype(np.int64),
            "probs": pl.Series(probs),
            "weight": _weights(probs, known, is_gold, trust),
            "source": pl.Series([GOLD, MODEL, NONE]).gather(origin),
        }
    )
    return Labels(table, votes, method, model, dict(facts or {}), scoring)


def winners(probs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the most probable class of each row, int64[n]; -1 where the best two tie."""
    highest = probs.max(axis=1, keepdims=True, initial=0.0)
    tied = (probs >= highest - _TIE).sum(axis=1) > 1
    return np.where(tied, -1, probs.argmax(axis=1))


def _weights(
    probs: NDArray[np.float64], known: NDArray[np.bool_], gold: NDArray[np.bool_], trust: float
) -> NDArray[np.float64]:
    classes = probs.shape[1]
    chance = np.clip((classes * probs.max(axis=1, initial=0.0) - 1) / (classes - 1), 0, 1)
    return np.where(gold, 1.0, np.where(known, chance * trust, 0.0))
