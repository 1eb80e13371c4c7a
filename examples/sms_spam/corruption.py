"""A bad day in production: a copy of a batch with six kinds of damage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

WRONG_TYPES, NEW_CATEGORY, DUPLICATES, BROKEN = 15, 20, 150, 10


def write_corrupted(rows: pl.DataFrame, path: Path) -> Path:
    """Write a damaged copy of the batch as CSV.

    The column `words` is missing; 15 cells of `chars` hold text; 20 cells of `digits` hold a
    category that training never saw; a third of the messages is three times as long; 150 messages
    are there twice; 10 messages hold bytes that are not UTF-8.
    """
    import polars as pl

    number = pl.int_range(pl.len())
    text = pl.when(number % 3 == 1).then(pl.concat_str([pl.col("text")] * 3, separator=" "))
    damaged = rows.drop("row_id", "words").with_columns(
        text=text.otherwise(pl.col("text")),
        chars=pl.when(number < WRONG_TYPES)
        .then(pl.format("{} chars", "chars"))
        .otherwise(pl.col("chars").cast(pl.String)),
        digits=pl.when(number.is_between(100, 100 + NEW_CATEGORY - 1))
        .then(pl.lit("roman"))
        .otherwise(pl.col("digits")),
    )
    damaged = pl.concat([damaged, damaged[200 : 200 + DUPLICATES]])
    lines = damaged.write_csv(quote_style="always").encode().splitlines(keepends=True)
    return _write_broken(lines, path)


def _write_broken(lines: list[bytes], path: Path) -> Path:
    """Break the encoding of ten lines: 0xA3 is a pound sign in latin-1 and nothing in UTF-8."""
    for number in range(300, 300 + BROKEN):
        lines[number] = lines[number].replace(b" ", b" \xa3", 1)
    path.write_bytes(b"".join(lines))
    return path
