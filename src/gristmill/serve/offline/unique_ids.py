"""Whether the ids of all rows differ, in 8 bytes a row at most, and none where they rise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from gristmill.core.errors import DataError
from gristmill.data.table import ROW_ID


def check_unique(read: Callable[[], Iterator[pl.Series]]) -> None:
    """Make sure that no id is there twice.

    Args:
        read: yields all ids, some at a time, without nulls; called again where hashes agree.

    Raises:
        DataError: an id is there more than once; names it.
    """
    if _rise(read()):
        return
    hashes = [ids.hash(seed=0).to_numpy() for ids in read()]
    suspects = _repeated(np.concatenate(hashes))
    if not len(suspects):
        return
    kept = [ids.filter(pl.Series(np.isin(ids.hash(seed=0).to_numpy(), suspects))) for ids in read()]
    found = pl.concat([ids.cast(pl.String) for ids in kept])
    if found.is_duplicated().any():
        name = found.filter(found.is_duplicated())[0]
        shown = repr(name) if kept[0].dtype == pl.String else name
        raise DataError(
            f"column {ROW_ID!r} has value {shown} more than once", fix="make ids unique"
        )


def _rise(parts: Iterator[pl.Series]) -> bool:
    """Tell whether each id is larger than the one before."""
    last: object = None
    for ids in parts:
        if not len(ids):
            continue
        rising = (ids[1:] > ids[:-1]).all() if len(ids) > 1 else True
        if not rising or (last is not None and not _after(ids[0], last)):
            return False
        last = ids[-1]
    return True


def _after(one: object, other: object) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return one > other
    return isinstance(one, str) and isinstance(other, str) and one.encode() > other.encode()


def _repeated(
    hashes: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
