"""Spans on which all sources that vote agree: what a model is checked against without gold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.label.spans.bio import OUTSIDE, bounds

Spans = NDArray[np.int64]


def unanimous(tags: NDArray[np.integer], offsets: NDArray[np.int64]) -> Spans:
    """Return the spans that every source which votes on any of their tokens says just so.

    The spans of which a single source speaks are among them.

    Args:
        tags: int[t, m], BIO codes by source.
        offsets: int64[d + 1], where each document's tokens begin, and the last one's end.

    Returns:
        int64[n, 3]: first token, one past the last, class; in order, none twice.
    """
    each = [bounds(column, offsets) for column in tags.T]
    spans, said = np.unique(np.concatenate(each), axis=0, return_counts=True)
    voters = np.zeros(len(spans), np.int64)
    for column in tags.T:
        seen = np.concatenate([[0], np.cumsum(column != OUTSIDE)])
        voters += seen[spans[:, 1]] > seen[spans[:, 0]]
    return np.asarray(spans[said == voters])


def overturned(agreed: Spans, tags: NDArray[np.integer], offsets: NDArray[np.int64]) -> float:
    """Return the share of the agreed spans that are not among those of int[t] tags.

    0 where there are no agreed spans.
    """
    if not len(agreed):
        return 0.0
    # No two spans of one tagging begin at the same token, so that looking there is enough.
    taken = np.full((len(tags), 2), -1, np.int64)
    found = bounds(tags, offsets)
    taken[found[:, 0]] = found[:, 1:]
    return float((taken[agreed[:, 0]] != agreed[:, 1:]).any(axis=1).mean())
