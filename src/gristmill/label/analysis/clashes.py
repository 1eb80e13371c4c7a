"""Clashes: which sources say different things of the same rows, and who is right."""

from __future__ import annotations

import numpy as np
import polars as pl

from gristmill.core.intervals import wilson
from gristmill.label.analysis.answers import Truth, true_classes
from gristmill.label.analysis.pairs import source_pairs
from gristmill.label.votes import Votes

_SCHEMA = {
    "first": pl.String,
    "first_says": pl.String,
    "second": pl.String,
    "second_says": pl.String,
    "rows": pl.Int64,
    "judged": pl.Int64,
    "first_right": pl.Int64,
    "second_right": pl.Int64,
    "first_share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def clashes(votes: Votes, gold: Truth | None = None, *, most: int = 20) -> pl.DataFrame:
    """Return which two sources disagree most often, in which way, and who is right on gold rows.

    Args:
        votes: int[n, m].
        gold: true classes, by row id or int[n].
        most: how many to return at most.

    Returns:
        Polars frame, most rows first: `first`, `first_says`, `second`, `second_says`; `rows` on
        which they do; `judged`, gold rows among them, with `first_right` and `second_right`; the
        share of these two that goes to the first with its 95 % Wilson interval: `first_share`,
        `low`, `high`, null where neither is ever right.

    Raises:
        LabelError: gold does not fit the votes.
    """
    truth = true_classes(gold, votes)
    unknown = np.full(len(votes), -1, np.int64)
    met = source_pairs(votes.names, votes.matrix, len(votes.classes), unknown).meetings
    # A pair's largest clash is no larger than all its clashes, so the first `most` pairs hold them.
    ranked = sorted(met, key=lambda each: each.same - each.both)[:most]
    lines = [
        line
        for pair in ranked
        if pair.both > pair.same
        for line in _between(votes, truth, pair.first, pair.second)
    ]
    frame = pl.DataFrame(lines, schema=_SCHEMA)
    order = ["rows", "first", "second", "first_says", "second_says"]
    return frame.sort(order, descending=[True, False, False, False, False]).head(most)


def _between(
    votes: Votes, truth: np.ndarray[tuple[int], np.dtype[np.int64]], one: int, two: int
) -> list[dict[str, object]]:
    """Return a line for each two classes that two sources give to the same rows."""
    first, second = votes.matrix[:, one], votes.matrix[:, two]
    rows = np.flatnonzero((first >= 0) & (second >= 0) & (first != second))
    said = np.stack([first[rows], second[rows]], axis=1)
    lines: list[dict[str, object]] = []
    for a, b in np.unique(said, axis=0).tolist():
        these = rows[(said == (a, b)).all(axis=1)]
        right, wrong = int((truth[these] == a).sum()), int((truth[these] == b).sum())
        share = wilson(right, right + wrong) if right + wrong else None
        lines.append(
            {
                "first": votes.names[one],
                "first_says": votes.classes[a],
                "second": votes.names[two],
                "second_says": votes.classes[b],
                "rows": len(these),
                "judged": int((truth[these] >= 0).sum()),
                "first_right": right,
                "second_right": wrong,
                "first_share": share and share.value,
                "low": share and share.low,
                "high": share and share.high,
            }
        )
    return lines
