"""The rows on which two versions of labels differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.data.table import ROW_ID
from gristmill.label.versions.alignment import Alignment

if TYPE_CHECKING:
    from gristmill.label.labels import Labels

LABEL, SOURCE, PROBS, ADDED, REMOVED = "label", "source", "probs", "added", "removed"
_MOVED = 1e-6


def changed_rows(before: Labels, after: Labels) -> pl.DataFrame:
    """Return the rows on which two versions differ, in the order of the first, then the second.

    Columns: `row_id`; `change` ("label", "source", "probs", "added", "removed"); `label_before`,
    `label_after` (int64); `prob_before`, `prob_after` (of the most probable class);
    `source_before`, `source_after`; `votes_changed`, the names of the sources that answer otherwise
    now.

    Raises:
        LabelError: the versions have different classes, or row ids of different kinds.
    """
    aligned = Alignment.of(before, after)
    found = changes(aligned)
    rows = found["row"].to_numpy()
    return found.drop("row").with_columns(votes_changed(aligned, rows))


def changes(aligned: Alignment) -> pl.DataFrame:
    """Return the frame of `changed_rows`, with `row`, the place in the alignment (int64), in front
    and without `votes_changed`.
    """
    both = pl.DataFrame(
        {
            "row": np.arange(len(aligned.row_ids)),
            ROW_ID: aligned.row_ids,
            **_columns(aligned.before, aligned.place_before, "before"),
            **_columns(aligned.after, aligned.place_after, "after"),
        }
    )
    moved = pl.Series("moved", _moved(aligned))
    change = (
        pl.when(pl.col("label_before").is_null()).then(pl.lit(ADDED))
        .when(pl.col("label_after").is_null()).then(pl.lit(REMOVED))
        .when(pl.col("label_before") != pl.col("label_after")).then(pl.lit(LABEL))
        .when(pl.col("source_before") != pl.col("source_after")).then(pl.lit(SOURCE))
        .when(moved).then(pl.lit(PROBS))
    )  # fmt: skip
    found = both.with_columns(change.alias("change")).filter(pl.col("change").is_not_null())
    return found.select(
        "row", ROW_ID, "change", "label_before", "label_after", "prob_before", "prob_after",
        "source_before", "source_after",
    )  # fmt: skip


def votes_changed(aligned: Alignment, rows: NDArray[np.int64]) -> pl.Series:
    """Return, for each of some rows, the names of the sources that answer otherwise now."""
    before, after = aligned.votes(rows)
    packed = np.packbits(before != after, axis=1)
    kinds, of_row = np.unique(packed, axis=0, return_inverse=True)
    bits = np.unpackbits(kinds, axis=1, count=len(aligned.sources)).astype(bool)
    names = np.array(aligned.sources, dtype=object)
    listed = pl.Series("votes_changed", [names[line].tolist() for line in bits], pl.List(pl.String))
    return listed.gather(of_row.ravel())


def _columns(
    labels: Labels, places: NDArray[np.int64], suffix: str
) -> dict[str, pl.Series | NDArray[np.float64]]:
    """Return label, highest probability and source in the order of `places`, null for -1."""
    wanted = pl.Series(places, dtype=pl.Int64)
    index = pl.select(pl.when(wanted >= 0).then(wanted)).to_series()
    probs = pl.Series(_matrix(labels).max(axis=1, initial=0.0))
    return {
        f"label_{suffix}": labels.table["label"].gather(index),
        f"prob_{suffix}": probs.gather(index),
        f"source_{suffix}": labels.table["source"].gather(index),
    }


def _moved(aligned: Alignment) -> NDArray[np.bool_]:
    """Say where some probability differs: bool[r]; only of rows that both versions have."""
    there = np.flatnonzero((aligned.place_before >= 0) & (aligned.place_after >= 0))
    before = _matrix(aligned.before)[aligned.place_before[there]]
    after = _matrix(aligned.after)[aligned.place_after[there]]
    moved = np.zeros(len(aligned.row_ids), bool)
    moved[there] = np.abs(before - after).max(axis=1, initial=0.0) > _MOVED
    return moved


def _matrix(labels: Labels) -> NDArray[np.float64]:
    return labels.table["probs"].to_numpy().reshape(len(labels), len(labels.classes))
