"""Splits and samples by a stable hash: which side a row falls on depends on that row alone.

Neither the order of the rows, nor rows added or taken away, nor the state of any random generator
changes where a row goes (hash splitting; Breck et al., "Data Validation for Machine Learning",
MLSys 2019, and Lakshmanan et al., "Machine Learning Design Patterns", 2020: Repeatable Splitting).
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import DataError, UsageError
from gristmill.core.seeds import derive_seed
from gristmill.data.table import ROW_ID, with_row_id

_HASH = "gristmill_hash"


def split(
    frame: pl.DataFrame,
    fractions: Mapping[str, float],
    *,
    seed: int,
    by: str = ROW_ID,
    stratify: str | None = None,
) -> dict[str, pl.DataFrame]:
    """Split a table into named parts that cover it, each row in exactly one.

    Args:
        frame: the table; gets a row id if it has none.
        fractions: name -> share of the rows, above 0, together 1.
        seed: another seed gives another split.
        by: the column that decides. Rows with equal values stay together: name a text column to
            keep copies of one text out of different parts.
        stratify: a column of classes whose shares every part should keep. Parts then have the
            sizes asked for to within one row a class, but where a row goes depends on the other
            rows of its class too. Rows that `by` ties together count as the smallest of their
            classes.

    Returns:
        The parts by name, rows in the order of the table.

    Raises:
        UsageError: the fractions are not positive or do not sum to 1.
        DataError: a column is missing.
    """
    edges = _edges(fractions)
    frame = with_row_id(frame)
    position = _hashes(frame, by, derive_seed(seed, "split"))
    if stratify is not None:
        position = _ranks(_classes(frame, by, stratify), position)
    part = np.searchsorted(edges, position, side="right")
    return {name: frame.filter(part == number) for number, name in enumerate(fractions)}


def sample(frame: pl.DataFrame, n: int, seed: int, *, by: str = ROW_ID) -> pl.DataFrame:
    """Return the `n` rows whose hash is smallest, in the order of the table.

    A larger sample under the same seed contains the smaller one. The hash is independent of the one
    that `split` uses, so a sample of a part is a fair sample.

    Raises:
        UsageError: the table has fewer than `n` rows, or `n` is negative.
    """
    frame = with_row_id(frame)
    if not 0 <= n <= frame.height:
        raise UsageError(f"expected a sample of 0 to {frame.height} rows, found {n}")
    hashes = _hashes(frame, by, derive_seed(seed, "sample"))
    ids = _hashes(frame, ROW_ID, derive_seed(seed, "sample", "ties"))
    chosen = np.lexsort((ids, hashes))[:n]
    return frame[np.sort(chosen)]


def _edges(fractions: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the inner boundaries of the parts in [0, 1]."""
    wrong = {name: share for name, share in fractions.items() if not 0 < share <= 1}
    if wrong or not fractions:
        raise UsageError(f"expected fractions above 0 and at most 1, found {wrong or fractions}")
    total = math.fsum(fractions.values())
    if abs(total - 1) > 1e-9:
        raise UsageError(
            f"expected fractions that sum to 1, found {total:g}: {dict(fractions)}",
            fix="add a part for the rest",
        )
    return np.array(list(itertools.accumulate(fractions.values())))[:-1]


def _hashes(frame: pl.DataFrame, by: str, key: int) -> NDArray[np.float64]:
    """Return float64[n] in [0, 1): one number per row, equal for equal values of `by`."""
    values = _column(frame, by).cast(pl.String).to_list()
    secret = key.to_bytes(8, "little")
    numbers = [
        hashlib.blake2b(_bytes(value), digest_size=8, key=secret).digest() for value in values
    ]
    # 53 bits, so that the largest hash stays below 1 as a float.
    words = np.frombuffer(b"".join(numbers), "<u8") >> np.uint64(11)
    return words.astype(np.float64) * 2.0**-53


def _bytes(value: str | None) -> bytes:
    return b"\x00" if value is None else b"\x01" + value.encode()


def _classes(frame: pl.DataFrame, by: str, stratify: str) -> NDArray[np.int64]:
    """Return int64[n]: the number of each row's class, one class for rows tied by `by`."""
    _column(frame, stratify)
    first = pl.col(stratify).cast(pl.String).fill_null("").min().over(by)
    return frame.select(first.rank("dense").cast(pl.Int64)).to_series().to_numpy()


def _ranks(classes: NDArray[np.int64], hashes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's place among the hashes of its class, in [0, 1); ties share one."""
    frame = pl.DataFrame({"class": classes, _HASH: hashes})
    place = (pl.col(_HASH).rank("min").over("class") - 0.5) / pl.len().over("class")
    return frame.select(place.cast(pl.Float64)).to_series().to_numpy()


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise DataError(
            f"there is no column {name!r}", fix=f"use one of {', '.join(frame.columns)}"
        )
    return frame[name]
