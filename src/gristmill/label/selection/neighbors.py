"""The nearest rows of each row by cosine, exact, in bounded memory."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.progress import task

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

_BLOCK_BYTES = 16 * 2**20


def unit_rows(features: NDArray[Any]) -> Floats:
    """Return float32[n, width], rows of length 1; rows of zeros stay zeros.

    Raises:
        LabelError: the features are not of two dimensions, not numbers, or not finite.
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind not in "iufb":
        raise LabelError(
            "expected features of shape [rows, width], numbers, "
            f"found {array.dtype}{list(array.shape)}"
        )
    rows = array.astype(np.float32)
    if not np.isfinite(rows).all():
        place = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise LabelError("expected features that are finite", where=f"row {place}")
    # By the largest first: squares of float32 overflow at 1e19 and vanish below 1e-19.
    rows /= np.maximum(np.abs(rows).max(axis=1, initial=0.0, keepdims=True), np.float32(1e-38))
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), np.float32)


def nearest(units: Floats, count: int, among: Ints) -> tuple[Ints, Floats]:
    """Return (neighbours int64[n, count], cosines float32[n, count]) of each row, nearest first.

    All pairs are compared, in blocks of 16 MB, so time grows with n times the rows looked among.
    Of equally near rows the first come first. A row is no neighbour of itself.

    Args:
        units: float32[n, width], rows of length 1 or 0.
        count: neighbours of a row, fewer than there are rows to look among.
        among: int64[m], places of the rows to look among, ascending.
    """
    rows, others = len(units), units[among]
    found = np.empty((rows, count), np.int64)
    cosines = np.empty((rows, count), np.float32)
    itself = np.full(rows, -1)
    itself[among] = np.arange(len(among))
    step = max(1, _BLOCK_BYTES // (4 * max(len(among), 1)))
    with task("nearest rows", rows, "rows") as work:
        for first in range(0, rows, step):
            block = slice(first, min(first + step, rows))
            alike = units[block] @ others.T
            own = np.flatnonzero(itself[block] >= 0)
            alike[own, itself[block][own]] = -np.inf
            columns = _highest(alike, count)
            found[block] = among[columns]
            cosines[block] = np.take_along_axis(alike, columns, axis=1)
            work.advance(len(alike))
    return found, cosines


def _highest(alike: Floats, count: int) -> Ints:
    """Return the columns of the `count` highest cells of each row, highest first."""
    edge = np.partition(alike, alike.shape[1] - count, axis=1)[:, -count][:, None]
    above = alike > edge
    # Of the cells at the edge itself the first ones fill what is left.
    level = alike == edge
    room = count - above.sum(axis=1, keepdims=True)
    taken = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
    columns = np.nonzero(taken)[1].reshape(len(alike), count)
    order = np.argsort(-np.take_along_axis(alike, columns, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(columns, order, axis=1), np.int64)
