"""Clean delimited bytes to typed columns, without losing what a cell says.

Columns are parsed to the type of their kind at once. What a parser would silently change is found
in the bytes first (`007`, `+44`, spaces around a number) or in the values afterwards (integers
among decimals that a float cannot hold); such a column, and one with a cell that does not parse, is
read as text and then fits the kind as a whole (`gristmill.data.cell_types`) or stays text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from gristmill.data.column_kinds import fitted
from gristmill.data.csv_blocks import CleanBlock
from gristmill.data.odd_cells import odd_columns

_DIRECT = {"int": pl.Int64, "float": pl.Float64}
_EXACT = 2.0**53


class CellParser:
    """Parses the blocks of one file; columns that were odd in a block are read as text in later
    ones at once."""

    def __init__(self, names: list[str], kinds: Mapping[str, str], delimiter: str) -> None:
        self._names, self._kinds, self._delimiter = names, kinds, delimiter
        self._wary: set[str] = set()

    def frame(self, block: CleanBlock) -> pl.DataFrame | None:
        """Return the rows of a block, None where Polars reads other rows than were promised."""
        odd = self._odd(block)
        frame = self._read(block, self._wary | odd)
        if frame is not None and (inexact := self._inexact(frame)):
            self._wary |= inexact
            frame = self._read(block, self._wary | odd)
        if frame is None:
            frame = self._read(block, self._names)
            if frame is None:
                return None
            fits = self._fitted(frame)
            self._wary |= {name for name in self._typed() if fits[name].dtype == pl.String}
            return fits
        return self._fitted(frame)

    def text_frame(self, block: CleanBlock) -> pl.DataFrame | None:
        """Return the rows of a block with every column as text."""
        return self._read(block, self._names)

    def _typed(self) -> set[str]:
        return {name for name in self._names if self._kinds.get(name) in _DIRECT}

    def _read(self, block: CleanBlock, as_text: Iterable[str]) -> pl.DataFrame | None:
        texts = set(as_text)
        schema = {
            name: pl.String if name in texts else _DIRECT.get(self._kinds.get(name, ""), pl.String)
            for name in self._names
        }
        quote = '"' if block.quoted else None
        try:
            frame = pl.read_csv(block.data, has_header=False, schema=schema,
                                separator=self._delimiter, quote_char=quote)  # fmt: skip
        except pl.exceptions.PolarsError:
            return None
        if block.rows not in (-1, frame.height):
            return None
        text = pl.col(pl.String)
        return frame.with_columns(pl.when(text != "").then(text)) if block.quoted else frame

    def _fitted(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            fitted(frame[name], self._kinds.get(name, "string"))
            for name, dtype in frame.schema.items()
            if dtype == pl.String and self._kinds.get(name, "string") != "string"
        )

    def _inexact(self, frame: pl.DataFrame) -> set[str]:
        # A query of all columns would cost more than it finds.
        return {
            column.name
            for column in frame.iter_columns()
            if column.dtype == pl.Float64 and _reaches(column, _EXACT)
        }

    def _odd(self, block: CleanBlock) -> set[str]:
        """Return the columns of numbers where a cell begins like a code or with a space."""
        numbers = self._typed()
        if not numbers:
            return numbers
        found = odd_columns(block.data, ord(self._delimiter), len(self._names), quoted=block.quoted)
        return numbers & {self._names[number] for number in found}


def extremes(cells: pl.Series) -> tuple[float, float] | None:
    """Return the least and the greatest number of a column of floats; None if all are missing.

    NaN is neither, unless there is nothing else.
    """
    least, most = cells.min(), cells.max()
    return (least, most) if isinstance(least, float) and isinstance(most, float) else None


def _reaches(cells: pl.Series, bound: float) -> bool:
    """Tell whether a number is so large, whatever its sign; NaN alone counts as such."""
    found = extremes(cells)
    return found is not None and not (-bound < found[0] and found[1] < bound)
