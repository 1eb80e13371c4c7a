"""Tables cut into parts that name their rows instead of holding them, so that whoever works on a
part reads it: another process, or another machine that sees the same files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import polars as pl

from gristmill.data.pieces import Piece
from gristmill.data.read_log import ReadLog, ReadNote
from gristmill.data.stream import PART_ROWS, TableStream, open_stream
from gristmill.data.table import TableLike
from gristmill.data.table_layout import TableLayout

_PART_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class FilePart:
    """A run of rows of a table, read where it is used. Small, and can be pickled.

    Attributes:
        number: of the part, from 0.
        start: number of its first row in the whole table.
        rows: how many it has.
        layout: the table's columns.
        pieces: where the rows are; frames in memory hold them.
    """

    number: int
    start: int
    rows: int
    layout: TableLayout
    pieces: tuple[Piece, ...] = field(repr=False)

    @property
    def where(self) -> str:
        """Its file and rows, for messages."""
        files = dict.fromkeys(piece.where for piece in self.pieces)
        named = ", ".join(name for name in files if name)
        rows = f"rows {self.start} to {self.start + self.rows}"
        return f"{named}, {rows}" if named else rows

    def read(
        self, columns: Sequence[str] | None = None, *, log: ReadLog | None = None
    ) -> pl.DataFrame:
        """Return the rows as `open_stream` gives them: `row_id` first, the same types.

        Args:
            columns: those wanted, in this order; by default all.
            log: hears of rows set aside and of what is mended.

        Raises:
            DataError: the file cannot be read here, or has changed since it was cut.
            UsageError: the table has no such column.
        """
        layout = self.layout if columns is None else self.layout.only(columns)
        if not self.pieces:
            return layout.empty()
        wanted = None if columns is None else [*layout.kinds]
        frames = [
            layout.filled(piece.frame(layout.kinds, wanted, log or ReadLog()))
            for piece in self.pieces
        ]
        whole = pl.concat(frames, how="diagonal_relaxed") if len(frames) > 1 else frames[0]
        return layout.with_ids(whole, self.start)


@dataclass(frozen=True)
class TableParts(Sequence[FilePart]):
    """All parts of a table, in order.

    Attributes:
        name: the first file's name, or `data` for a frame.
        parts: the parts; of a table without rows, one empty part.
        layout: the table's columns.
        log: what was set aside and mended while the files were cut.
    """

    name: str
    parts: tuple[FilePart, ...] = field(repr=False)
    layout: TableLayout
    log: ReadLog = field(repr=False)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return sum(part.rows for part in self.parts)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, `row_id` apart."""
        return list(self.layout.columns)

    @property
    def kinds(self) -> dict[str, str]:
        """Column -> kind."""
        return self.layout.columns

    @property
    def has_ids(self) -> bool:
        """Whether the data has row ids of its own."""
        return self.layout.own_ids is not None

    @property
    def notes(self) -> list[ReadNote]:
        """What was seen and mended while cutting, as of a stream that has been read."""
        return self.log.notes

    def __len__(self) -> int:
        return len(self.parts)

    @overload
    def __getitem__(self, index: int) -> FilePart: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FilePart]: ...
    def __getitem__(self, index: int | slice) -> FilePart | Sequence[FilePart]:
        return self.parts[index]


def file_parts(
    data: TableLike | Sequence[str | Path],
    *,
    rows: int = PART_ROWS,
    kinds: Mapping[str, str] | None = None,
    judged: Sequence[str] = (),
    exact: bool = False,
) -> TableParts:
    """Cut a table into parts. Of Parquet and Arrow files only the footer is read.

    Parts end where row groups do, unless a row group has more than `rows` rows.

    Args:
        data: as `open_stream` takes it.
        rows: the most rows that a part may have.
        kinds: as `open_stream` takes them.
        judged: as `open_stream` takes them.
        exact: all parts but the last have exactly `rows` rows, wherever row groups and files end.

    Raises:
        DataError: as `open_stream`.
        UsageError: as `open_stream`.
    """
    stream = open_stream(data, kinds=kinds, rows=rows, judged=judged)
    parts = tuple(parts_of(stream, rows, exact=exact))
    return TableParts(stream.name, parts, stream.layout, stream.log)


def parts_of(stream: TableStream, rows: int, *, exact: bool = False) -> Iterator[FilePart]:
    """Yield the parts of a stream one by one, while it is looked through; as `file_parts`."""
    pieces = stream.pieces()
    start = number = 0
    for run in _exact_runs(pieces, rows) if exact else _runs(pieces, rows):
        height = sum(piece.rows for piece in run)
        yield FilePart(number, start, height, stream.layout, tuple(run))
        start, number = start + height, number + 1
    if number == 0:
        yield FilePart(0, 0, 0, stream.layout, ())


def _runs(pieces: Iterable[Piece], rows: int) -> Iterator[list[Piece]]:
    """Cut large pieces, and join small ones of a file that tells all types."""
    held: list[Piece] = []
    for piece in pieces:
        if held and not _fit(held, piece, rows):
            yield held
            held = []
        if piece.rows <= rows:
            held.append(piece)
            continue
        for start in range(0, piece.rows, rows):
            yield [piece.cut(start, min(rows, piece.rows - start))]
    if held:
        yield held


def _fit(held: list[Piece], piece: Piece, rows: int) -> bool:
    alike = piece.joins and piece.where == held[0].where
    room = sum(each.size for each in held) + piece.size <= _PART_BYTES
    return alike and room and sum(each.rows for each in held) + piece.rows <= rows


def _exact_runs(pieces: Iterable[Piece], rows: int) -> Iterator[list[Piece]]:
    held: list[Piece] = []
    room = rows
    for piece in pieces:
        taken = 0
        while taken < piece.rows:
            height = min(room, piece.rows - taken)
            held.append(piece.cut(taken, height))
            taken, room = taken + height, room - height
            if room == 0:
                yield held
                held, room = [], rows
    if held:
        yield held
