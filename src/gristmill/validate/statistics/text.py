"""Expressions over text columns: broken encoding, lengths."""

from __future__ import annotations

import polars as pl

BROKEN = (
    "\ufffd"  # what a decoder writes for bytes that are not UTF-8
    "|[\u0080-\u009f]"  # C1 controls: windows-1252 read as latin-1
    "|[\u00c2\u00c3][\u00a0-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    "|\u00e2\u20ac|\u00ef\u00bb\u00bf|\u00ef\u00bf\u00bd"
)
"""Pattern of text whose bytes were read in the wrong encoding.

U+FFFD and C1 controls never belong in text; the other sequences are what the bytes of UTF-8
characters (C2 xx, C3 xx, E2 80 xx, a byte-order mark, EF BF BD) look like when read as latin-1 or
windows-1252.
"""


def is_broken(column: pl.Series) -> pl.Series:
    """Tell which cells show a broken encoding: Boolean[n], false where missing."""
    return column.str.contains(BROKEN).fill_null(value=False)


def lengths(column: pl.Series) -> pl.Series:
    """Count the characters of each cell: UInt32[n], null where missing."""
    return column.str.len_chars()
