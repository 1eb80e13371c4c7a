"""Content hashes: whether a row is still the row that somebody judged."""

from __future__ import annotations

from hashlib import blake2b

import polars as pl

from gristmill.data.partition import PARTITION_ROWS
from gristmill.data.table import ROW_ID, TableLike, as_table

CONTENT = "content"
_BYTES = 8


def content_hashes(table: TableLike) -> pl.DataFrame:
    """Return the content hash of each row: a frame of `row_id` and `content`, 16 hex digits.

    The hash is BLAKE2b (RFC 7693) of the row written as JSON without its id, columns in the order
    of their names, so that it depends neither on the order of columns nor on the version of a
    library. 64 bits are enough to tell two versions of one row apart.

    Raises:
        DataError: the table cannot be used.
    """
    frame = as_table(table)
    names = sorted(name for name in frame.columns if name != ROW_ID)
    if not names:
        nothing = pl.repeat("", frame.height, dtype=pl.String, eager=True)
        return pl.DataFrame({ROW_ID: frame[ROW_ID], CONTENT: nothing})
    parts = [
        _hashes(frame.slice(start, PARTITION_ROWS).select(names))
        for start in range(0, frame.height, PARTITION_ROWS)
    ]
    hashes = pl.concat(parts) if parts else pl.Series(dtype=pl.String)
    return pl.DataFrame({ROW_ID: frame[ROW_ID], CONTENT: hashes})


def _hashes(rows: pl.DataFrame) -> pl.Series:
    written = rows.select(_as_json(rows).struct.json_encode()).to_series()
    return pl.Series(
        [blake2b(text.encode(), digest_size=_BYTES).hexdigest() for text in written],
        dtype=pl.String,
    )


def _as_json(rows: pl.DataFrame) -> pl.Expr:
    """Return the rows as records; bytes, which JSON lacks, as hexadecimal text."""
    binary = [name for name, kind in rows.schema.items() if kind == pl.Binary]
    return pl.struct(
        pl.col(name).bin.encode("hex") if name in binary else pl.col(name) for name in rows.columns
    )
