"""Weak labels that agree with their neighbourhood, by the cut statistic."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID
from gristmill.label.labels import Labels
from gristmill.label.selection.neighbors import nearest, unit_rows

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

UNLABELLED = -1


def cut_statistic(
    features: NDArray[Any],
    labels: pl.DataFrame | Labels,
    *,
    neighbors: int = 20,
    most_rows: int = 50_000,
    seed: int = 0,
) -> pl.Series:
    """Score how far the neighbours of each row bear its label; the higher, the cleaner.

    Rows are joined to the nearest by cosine, with weight (1 + cosine) / 2. An edge is cut where its
    two labels differ. Were labels dealt at random, the cut weight J of a row of class y would have
    mean (1 - p_y) sum(w) and variance p_y (1 - p_y) sum(w^2); the score is minus J standardised
    (Muhlenbach, Lallich, Zighed 2004; Lang, Vijayaraghavan, Sontag 2022, section 3).

    Args:
        features: float[n, width], of the rows of `labels` in that order: embeddings, or any
            numbers whose angle says how alike two rows are.
        labels: labels, or their table; `row_id` and `label` (-1: no label) are read.
        neighbors: of a row, among the rows that have a label.
        most_rows: with more labelled rows, neighbours are looked for in a sample of so many.
        seed: of that sample.

    Returns:
        A float64 column "agreement" in the order of the labels; null without a label.

    Raises:
        LabelError: features and labels are of unequal length, columns are missing, features are
            not finite numbers, or there are not more labelled rows than neighbours.
    """
    labels = _table(labels, len(features))
    if not 1 <= neighbors < most_rows:
        raise LabelError(
            f"neighbors must be at least 1 and below most_rows, found {neighbors} and {most_rows}"
        )
    label = labels["label"].cast(pl.Int64).fill_null(UNLABELLED).to_numpy()
    rows = np.flatnonzero(label > UNLABELLED)
    if len(rows) <= neighbors:
        raise LabelError(
            f"expected more than {neighbors} labelled rows, as many neighbours are asked for, "
            f"found {len(rows)}"
        )
    # Equally near rows are told apart by their place: let it be one that does not depend on order.
    rows = rows[labels[ROW_ID][rows].arg_sort().to_numpy()]
    among = _sample(labels[ROW_ID][rows], most_rows, seed)
    found, cosines = nearest(unit_rows(np.asarray(features)[rows]), neighbors, among)
    scores = np.full(len(label), np.nan)
    scores[rows] = agreement(label[rows], found, (1 + cosines.astype(np.float64)) / 2)
    return pl.Series("agreement", scores).fill_nan(None)


def agreement(labels: Ints, neighbors: Ints, weights: Floats) -> Floats:
    """Return minus the standardised cut weight of each row, float64[n].

    0 where it has no variance: all rows are of one class, or a row's edges have no weight.

    Args:
        labels: int64[n], classes 0..k-1.
        neighbors: int64[n, c], places of rows.
        weights: float64[n, c] of the edges, 0 or more.
    """
    share = (np.bincount(labels) / len(labels))[labels]
    cut = ((labels[neighbors] != labels[:, None]) * weights).sum(axis=1)
    mean = (1 - share) * weights.sum(axis=1)
    spread = np.sqrt(share * (1 - share) * (weights**2).sum(axis=1))
    fine = spread > 0
    return np.where(fine, (mean - cut) / np.where(fine, spread, 1), 0.0)


def keep_best(
    scores: pl.Series | NDArray[np.floating], labels: pl.DataFrame | Labels, share: float
) -> NDArray[np.bool_]:
    """Return which rows are among the best `share` of their class, bool[n]; gold rows always are.

    Taking a share of each class keeps the balance of the weak labels. Ties go by row id.

    Args:
        scores: of the rows of `labels`, null or NaN where there is none; such rows are not kept.
        labels: labels, or their table: `row_id`, `label` and, if there, `source` are read.
        share: above 0, up to 1; the number kept is rounded up.

    Raises:
        LabelError: the share is outside its range, or lengths disagree.
    """
    if not 0 < share <= 1:
        raise LabelError(f"share must be above 0 and at most 1, found {share!r}")
    labels = _table(labels, len(scores))
    scores = pl.Series("score", scores).cast(pl.Float64).fill_nan(None)
    gold = pl.lit(value=False) if "source" not in labels.columns else pl.col("source") == "gold"
    frame = labels.select(ROW_ID, "label", gold.alias("gold"), scores)
    weak = frame.with_row_index("place").filter(~pl.col("gold"), pl.col("score").is_not_null())
    rank = pl.int_range(pl.len()).over("label")
    best = weak.sort(["score", ROW_ID], descending=[True, False]).filter(
        rank < (share * pl.len()).ceil().over("label")
    )
    kept = frame["gold"].to_numpy().copy()
    kept[best["place"].to_numpy()] = True
    return np.asarray(kept, np.bool_)


def _sample(ids: pl.Series, most: int, seed: int) -> Ints:
    """Return the places of at most so many rows, chosen by their ids, ascending."""
    if len(ids) <= most:
        return np.arange(len(ids))
    keys = np.array([derive_seed(seed, "cut statistic", row_id) for row_id in ids.to_list()])
    return np.sort(np.argpartition(keys, most)[:most])


def _table(labels: pl.DataFrame | Labels, rows: int) -> pl.DataFrame:
    labels = labels.table if isinstance(labels, Labels) else labels
    if not isinstance(labels, pl.DataFrame):
        raise LabelError(f"expected labels or their table, found {type(labels).__name__}")
    if not {ROW_ID, "label"} <= set(labels.columns):
        raise LabelError(
            f"a labels table needs columns {ROW_ID!r} and 'label', "
            f"found {', '.join(labels.columns) or 'none'}"
        )
    if rows != labels.height:
        raise LabelError(f"expected {labels.height} rows, one a label, found {rows}")
    return labels
