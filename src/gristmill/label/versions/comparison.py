"""What changed between two versions of labels, and which change did it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.data.table import ROW_ID
from gristmill.label.versions import changes
from gristmill.label.versions.alignment import SAME, Alignment
from gristmill.label.versions.attribution import TOGETHER, Attribution, attribute, tables_of
from gristmill.label.versions.content import CONTENT
from gristmill.label.versions.version import LabelVersion, labels_of

if TYPE_CHECKING:
    from gristmill.label.labels import Labels

WEIGHTS, GOLD, SEVERAL, UNKNOWN = "weights", "gold", "together", "unknown"
_SCHEMA_OF_CAUSES: dict[str, pl.DataType | type[pl.DataType]] = {
    "cause": pl.String,
    "by": pl.String,
    "alone": pl.Boolean,
    "log_odds": pl.Float64,
    "also": pl.List(pl.String),
}


@dataclass(frozen=True)
class Comparison:
    """Two versions of labels compared.

    Attributes:
        classes: the k class names.
        rows: a frame of the rows that differ: `row_id`; `change` ("label", "source", "added",
            "removed", and "probs" if asked for); `label_before`, `label_after` (names, null where
            there is none); `prob_before`, `prob_after` (of the most probable class);
            `source_before`, `source_after` ("gold", "model", "none"); `content_changed` (null
            where a version does not know); then what did it:
            `cause` ("source changed", "source added", "source removed": these are votes of `by`;
            "row changed": `by` votes otherwise since the row reads otherwise; "votes changed": the
            same function on the same row; "weights": the model's; "gold added", "gold changed",
            "gold removed"; "row added", "row removed"; "together": several, in `also`; "unknown");
            `alone`, whether it alone gives the new label; `log_odds`, how far it moved those of
            the new label against the old; `also`, the other changes that alone make or undo the
            label.
        sources: `source` and `status` ("added", "removed", "changed", "same").
        counts: how many rows there are before, after, in both, and of each change.
        exact: share of the rows of both versions whose labels the stored scores reproduce; the
            causes of the rest are what the scores make likely.
    """

    classes: tuple[str, ...]
    rows: pl.DataFrame
    sources: pl.DataFrame
    counts: dict[str, int]
    exact: float

    def __bool__(self) -> bool:
        return self.rows.height > 0

    @property
    def causes(self) -> pl.DataFrame:
        """How many rows each cause changed: `cause`, `by`, `rows`, most first."""
        return (
            self.rows.group_by("cause", "by")
            .agg(pl.len().alias("rows").cast(pl.Int64))
            .sort("rows", "cause", "by", descending=[True, False, False], nulls_last=True)
        )

    @property
    def moves(self) -> pl.DataFrame:
        """How many rows went from one label to another: `label_before`, `label_after`, `rows`."""
        moved = self.rows.filter(pl.col("change") == changes.LABEL)
        keys = ["label_before", "label_after"]
        counted = moved.group_by(keys).agg(pl.len().alias("rows").cast(pl.Int64))
        return counted.sort("rows", *keys, descending=[True, False, False], nulls_last=True)

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: counts, sources that differ, causes and moves."""
        return {
            "kind": "comparison",
            "counts": self.counts,
            "sources": self.sources.filter(pl.col("status") != SAME).to_dicts(),
            "causes": self.causes.to_dicts(),
            "moves": self.moves.to_dicts(),
            "exact": self.exact,
        }


def compare(
    before: Labels | LabelVersion, after: Labels | LabelVersion, *, probs: bool = False
) -> Comparison:
    """List the rows whose labels differ between two versions, and which change did it.

    A cause is found by replacing one change at a time in the scores of the versions, exactly; see
    `gristmill.label.versions.attribution`. Versions (rather than bare labels) also know whether a
    row itself was changed.

    Args:
        before, after: labels of the same classes; rows are matched by id, sources by name.
        probs: also list the rows of which only the probabilities differ.

    Raises:
        LabelError: the versions have different classes, or row ids of different kinds.
    """
    aligned = Alignment.of(labels_of(before), labels_of(after))
    found = changes.changes(aligned)
    counts = _counts(aligned, found)
    if not probs:
        found = found.filter(pl.col("change") != changes.PROBS)
    found = _with_content(found, before, after)
    causes, exact = _causes(aligned, found)
    rows = found.hstack(causes).drop("row").with_columns(_names(found, aligned.before.classes))
    sources = pl.DataFrame(
        {"source": list(aligned.sources), "status": list(aligned.status)},
        schema={"source": pl.String, "status": pl.String},
    )
    return Comparison(aligned.before.classes, rows, sources, counts, exact)


def _counts(aligned: Alignment, found: pl.DataFrame) -> dict[str, int]:
    kinds = (changes.LABEL, changes.SOURCE, changes.PROBS, changes.ADDED, changes.REMOVED)
    both = (aligned.place_before >= 0) & (aligned.place_after >= 0)
    return {
        "before": len(aligned.before),
        "after": len(aligned.after),
        "both": int(both.sum()),
        **{kind: int((found["change"] == kind).sum()) for kind in kinds},
    }


def _with_content(
    found: pl.DataFrame, before: Labels | LabelVersion, after: Labels | LabelVersion
) -> pl.DataFrame:
    """Add `content_changed`: null where a version does not know what its rows read."""
    if not isinstance(before, LabelVersion) or not isinstance(after, LabelVersion):
        return found.with_columns(pl.lit(None, pl.Boolean).alias("content_changed"))
    old, new = (
        each.content.select(pl.col(ROW_ID).cast(found[ROW_ID].dtype), pl.col(CONTENT).alias(name))
        for each, name in ((before, "old"), (after, "new"))
    )
    known = found.join(old, on=ROW_ID, how="left", maintain_order="left").join(
        new, on=ROW_ID, how="left", maintain_order="left"
    )
    return known.with_columns((pl.col("old") != pl.col("new")).alias("content_changed")).drop(
        "old", "new"
    )


def _names(found: pl.DataFrame, classes: tuple[str, ...]) -> list[pl.Series]:
    names = pl.Series([*classes, None], dtype=pl.String)
    return [
        names.gather(found[column].replace(-1, len(classes))).rename(column)
        for column in ("label_before", "label_after")
    ]


def _causes(aligned: Alignment, found: pl.DataFrame) -> tuple[pl.DataFrame, float]:
    """Return the columns about causes, and the share of rows whose labels the scores give."""
    in_both = found.filter(~pl.col("change").is_in([changes.ADDED, changes.REMOVED]))
    new_or_gone = pl.when(pl.col("change") == changes.ADDED).then(pl.lit("row added"))
    plain = found.select(
        "row",
        new_or_gone.otherwise(pl.lit("row removed")).alias("cause"),
        pl.lit(True).alias("alone"),
    )
    attributed, exact = _attributed(aligned, in_both)
    columns = [name for name in _SCHEMA_OF_CAUSES if name not in plain.columns]
    placed = plain.with_columns(
        pl.lit(None, _SCHEMA_OF_CAUSES[name]).alias(name) for name in columns
    ).select("row", *_SCHEMA_OF_CAUSES)
    kept = placed.join(attributed, on="row", how="anti")
    return pl.concat([kept, attributed]).sort("row").drop("row"), exact


def _attributed(aligned: Alignment, found: pl.DataFrame) -> tuple[pl.DataFrame, float]:
    rows = found["row"].to_numpy()
    tables = tables_of(aligned)
    if tables is None or not len(rows):
        unknown = found.select("row").with_columns(
            pl.lit(UNKNOWN if name == "cause" else None, kind).alias(name)
            for name, kind in _SCHEMA_OF_CAUSES.items()
        )
        return unknown, 0.0 if len(rows) else 1.0
    label = _codes(found, "label")
    gold = tuple(
        np.where((found[f"source_{side}"] == "gold").to_numpy(), codes, -1)
        for side, codes in zip(("before", "after"), label, strict=True)
    )
    done = attribute(tables, aligned.votes(rows), label, (gold[0], gold[1]))
    names = pl.Series([*aligned.sources, WEIGHTS, GOLD, None], dtype=pl.String)
    frame = pl.DataFrame(
        {
            "row": rows,
            "cause": _kinds(aligned, found, done, gold[0], gold[1]),
            "by": names.gather(_by(done.cause, len(aligned.sources))),
            "alone": done.sufficient.any(axis=1),
            "log_odds": _moved_by(done),
            "also": _also(done, names),
        },
        schema_overrides=_SCHEMA_OF_CAUSES,
    )
    return frame, float(done.exact.mean())


def _codes(found: pl.DataFrame, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return found[f"{what}_before"].to_numpy(), found[f"{what}_after"].to_numpy()


def _by(cause: NDArray[np.int64], sources: int) -> NDArray[np.int64]:
    """Return the place of the name of a cause: a source's own, or that of nothing."""
    return np.where((cause >= 0) & (cause < sources), cause, sources + 2)


def _moved_by(done: Attribution) -> pl.Series:
    rows = np.arange(len(done.cause))
    moved = pl.Series(done.log_odds[rows, done.cause])
    no_figure = (done.cause == TOGETHER) | (done.cause == done.log_odds.shape[1] - 1)
    return pl.select(pl.when(pl.Series(~no_figure)).then(moved)).to_series()


def _kinds(
    aligned: Alignment,
    found: pl.DataFrame,
    done: Attribution,
    gold_before: NDArray[np.int64],
    gold_after: NDArray[np.int64],
) -> pl.Series:
    """Put the cause of each row into words."""
    sources = len(aligned.sources)
    status = np.array([*(f"source {each}" for each in aligned.status), WEIGHTS, GOLD, SEVERAL])
    kind = status[done.cause]
    content = found["content_changed"].to_numpy().astype(object)
    same = kind == f"source {SAME}"
    kind = np.where(same, np.where(content == True, "row changed", "votes changed"), kind)  # noqa: E712
    by_gold = np.where(
        gold_before < 0, "gold added", np.where(gold_after < 0, "gold removed", "gold changed")
    )
    return pl.Series(np.where(done.cause == sources + 1, by_gold, kind).tolist(), dtype=pl.String)


def _also(done: Attribution, names: pl.Series) -> pl.Series:
    """List the other changes that alone make or undo the label; of a joint cause, its parts."""
    joint = (done.cause == TOGETHER)[:, None]
    part = np.where(joint, done.log_odds > 0, done.sufficient | done.necessary)
    part[np.arange(len(part)), done.cause] &= joint[:, 0]
    row, change = np.nonzero(part)
    strength = done.log_odds[row, change]
    listed = (
        pl.DataFrame({"at": row, "name": names.gather(change), "strength": strength})
        .sort("at", "strength", descending=[False, True], maintain_order=True)
        .group_by("at", maintain_order=True)
        .agg("name")
    )
    every = pl.DataFrame({"at": np.arange(len(part))}).join(
        listed, on="at", how="left", maintain_order="left"
    )
    return every["name"].fill_null([])
