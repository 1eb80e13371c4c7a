"""Blocks of one delimited file to frames, once its header is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from gristmill.data.csv_blocks import CsvBlocks
from gristmill.data.read_log import ReadLog
from gristmill.data.text_blocks import TextBlock
from gristmill.data.typed_cells import CellParser


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads blocks of one file. Small, and can be pickled.

    Attributes:
        columns: the names of the columns.
        delimiter: between cells.
        header: the header as it stands in the file, which is left out where it stands again.
    """

    columns: tuple[str, ...]
    delimiter: str
    header: bytes

    def frame(
        self, block: TextBlock, kinds: Mapping[str, str], log: ReadLog
    ) -> pl.DataFrame | None:
        """Return the good rows, each column typed where all cells of the block fit."""
        blocks = CsvBlocks(self.delimiter, len(self.columns), self.header, log)
        parser = CellParser(list(self.columns), kinds, self.delimiter)
        clean = blocks.whole(block)
        frame = parser.frame(clean)
        return parser.frame(blocks.by_line(clean)) if frame is None else frame
