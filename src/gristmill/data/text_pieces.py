"""Blocks of text files that can be read by themselves, and files that can only be read whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import polars as pl

from gristmill.data.pieces import Piece, changed, check_seen
from gristmill.data.read_log import ReadLog
from gristmill.data.remote_path import AnyPath
from gristmill.data.text_blocks import Origin, TextBlock, TextBlocks


class BlockReader(Protocol):
    """Makes frames of blocks of one file. Small, and can be pickled."""

    def frame(
        self, block: TextBlock, kinds: Mapping[str, str], log: ReadLog
    ) -> pl.DataFrame | None:
        """Return the good rows of a block, None without any."""


class TextSource(Protocol):
    """A text file that is read from its beginning. Small, and can be pickled."""

    def frames(self, kinds: Mapping[str, str], log: ReadLog) -> Iterator[pl.DataFrame]:
        """Yield its rows in order."""


@dataclass(frozen=True, slots=True)
class CountedBlock:
    """A block of which the rows are counted.

    Attributes:
        origin: where it can be read again by itself, None if it cannot.
        rows: how many good ones it has.
        size: its bytes.
    """

    origin: Origin | None
    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class _TextRows:
    """Some rows of those that are read together, since the types of columns depend on all of them.

    Attributes:
        path: the file, absolute.
        total: how many rows are read.
        size: their bytes, unpacked.
        start: the first row that is wanted.
        rows: how many are.
    """

    path: AnyPath
    total: int
    size: int
    start: int
    rows: int

    joins = False

    @property
    def where(self) -> str:
        """See `Piece`."""
        return str(self.path)

    def cut(self, start: int, rows: int) -> Self:
        """See `Piece`."""
        return replace(self, start=self.start + start, rows=rows)


@dataclass(frozen=True, slots=True)
class BlockRows(_TextRows):
    """Rows of one block of a text file.

    Attributes:
        reader: makes frames of its blocks.
        origin: where the block is.
    """

    reader: BlockReader
    origin: Origin

    def frame(
        self, kinds: Mapping[str, str], columns: Sequence[str] | None, log: ReadLog
    ) -> pl.DataFrame:
        """See `Piece`."""
        check_seen(self.path)
        block = TextBlocks(self.path, log).read(self.origin)
        frame = self.reader.frame(block, kinds, log)
        if frame is None or frame.height != self.total:
            raise changed(self.where, self.total, 0 if frame is None else frame.height)
        return frame.slice(self.start, self.rows)


@dataclass(frozen=True, slots=True)
class WholeText(_TextRows):
    """Rows of a text file that is read from its beginning: gzip, UTF-16, old line ends.

    A column has the type of its kind where all cells of the file fit, and is String otherwise.

    Attributes:
        source: what reads it.
    """

    source: TextSource

    def frame(
        self, kinds: Mapping[str, str], columns: Sequence[str] | None, log: ReadLog
    ) -> pl.DataFrame:
        """See `Piece`."""
        check_seen(self.path)
        frames = list(self.source.frames(kinds, log))
        if odd := _of_several_types(frames):
            frames = list(self.source.frames(dict(kinds) | dict.fromkeys(odd, "string"), ReadLog()))
        found = sum(frame.height for frame in frames)
        if found != self.total:
            raise changed(self.where, self.total, found)
        return pl.concat(frames).slice(self.start, self.rows)


def text_pieces(
    path: AnyPath, reader: BlockReader, source: TextSource, blocks: Iterable[CountedBlock]
) -> Iterator[Piece]:
    """Yield a piece a block, or one for all blocks that cannot be read by themselves."""
    rows = size = 0
    for block in blocks:
        if block.origin and block.rows:
            yield BlockRows(path, block.rows, block.size, 0, block.rows, reader, block.origin)
        else:
            rows, size = rows + block.rows, size + block.size
    if rows:
        yield WholeText(path, rows, size, 0, rows, source)


def _of_several_types(frames: Sequence[pl.DataFrame]) -> list[str]:
    names = frames[0].columns if frames else []
    return [name for name in names if len({frame.schema[name] for frame in frames}) > 1]
