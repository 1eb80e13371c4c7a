"""CSV, TSV and JSON Lines as a source: cells are what the signature asks for where they read so.

A line that is no row at all ends the run, unless it may be set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from gristmill.core.errors import DataError
from gristmill.core.progress import current
from gristmill.data.file_part import FilePart, parts_of
from gristmill.data.files import is_gzip
from gristmill.data.formats import format_of
from gristmill.data.read_log import REJECTS_SCHEMA
from gristmill.data.remote_path import AnyPath, RemotePath
from gristmill.data.stream import TableStream, open_stream
from gristmill.data.table import ROW_ID
from gristmill.serve.offline.scanned import recut
from gristmill.serve.offline.source import SAMPLE_ROWS, HeldRows, Part, Run, Wanted, numbered
from gristmill.serve.offline.whole_files import WholeText, joint_mark, whole_texts

_ID_ROWS = 1 << 16


@dataclass(frozen=True)
class CutRows:
    """Rows of text files, cut at records."""

    part: FilePart

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield them as one part."""
        yield numbered(self.part.read(), self.part.start)


class TextSource:
    """Text files, perhaps gzipped, joined by the names of their columns.

    Args:
        files: in the order of the rows.
        kinds: column -> int, float, bool or string, where the signature says it. Of JSON Lines,
            rows have the values that are not, for the reader to judge.
        is_text: off for Arrow streams, whose columns have types.
        lenient: set lines aside that are no rows.

    Attributes:
        unreadable: the first lines that were set aside: `line`, `text`, `reason`.
        unreadable_count: how many were.

    Raises:
        DataError: nothing of a file can be read, or none of its lines is a row.
    """

    def __init__(
        self,
        files: Sequence[AnyPath],
        kinds: Mapping[str, str],
        *,
        is_text: bool = True,
        lenient: bool = False,
    ) -> None:
        self._files, self._lenient = files, lenient
        self.is_text = is_text
        self._kinds, self._judged = dict(kinds), tuple(kinds)
        self._stream = self._open(SAMPLE_ROWS)
        self.columns = tuple(self._stream.columns)
        self.has_ids = self._stream.has_ids
        self.unreadable = pl.DataFrame(schema=REJECTS_SCHEMA)
        self.unreadable_count = 0
        if not self.columns:
            self._check_any_row()

    @cached_property
    def rows(self) -> int | None:
        """How many lines there are, headers apart: the rows, unless cells hold line feeds.

        None of an Arrow stream, of a file behind a URL, and where one cannot be read to its end.
        """
        formats = [format_of(file) for file in self._files]
        if "arrow" in formats:
            return None
        rows = 0
        for text, form in zip(self._texts, formats, strict=True):
            if text.lines is None:
                return None
            rows += max(text.lines - (form != "jsonl"), 0)
        return rows

    def mark(self) -> str:
        """Return the fingerprint of the file's bytes, or of those of all files."""
        return joint_mark([text.mark for text in self._texts])

    @cached_property
    def _texts(self) -> list[WholeText]:
        return whole_texts(self._files)

    def sample(self) -> pl.DataFrame:
        """Return the first rows."""
        return next(self._stream.parts())

    def parts(self, size: int, wanted: Wanted) -> Iterator[Part]:
        """Yield all parts; those that are not wanted are read as well, to find the next."""
        stream, start = self._cut_at(size), 0
        for number, frame in enumerate(recut(stream.parts(), size)):
            self._check_lines(stream)
            yield Part(number, HeldRows(numbered(frame, start)) if wanted(number) else None)
            start += frame.height
        self._check_lines(stream)
        self._check_end(stream)

    def runs(self, size: int, wanted: Wanted, longest: int) -> Iterator[Run]:
        """Yield the parts that are wanted, one a run.

        Files are looked through here, to find where rows begin, and read where they are answered;
        what can only be read from its beginning is read here alone.
        """
        if not self.is_text or any(map(is_gzip, self._files)):
            for number, rows in self.parts(size, wanted):
                if rows is not None:
                    yield Run((number,), rows)
            return
        stream = self._cut_at(size)
        for part in parts_of(stream, size, exact=True):
            self._check_lines(stream)
            if wanted(part.number):
                yield Run((part.number,), CutRows(part))
        self._check_lines(stream)
        self._check_end(stream)

    def ids(self) -> Iterator[pl.Series]:
        """Yield the data's own row ids, some at a time."""
        for frame in self._cut_at(_ID_ROWS).parts():
            yield frame[ROW_ID]

    def _open(self, rows: int) -> TableStream:
        files = [str(file) if isinstance(file, RemotePath) else file for file in self._files]
        return open_stream(files, kinds=self._kinds, rows=rows, judged=self._judged)

    def _cut_at(self, rows: int) -> TableStream:
        # Arrow streams are read in pieces of the size that they were opened with.
        return self._stream.cut_at(rows) if self.is_text else self._open(rows)

    def _check_any_row(self) -> None:
        """Say why lines are no rows, where none has told what columns there are."""
        for _ in self._stream.parts():
            pass
        if self._stream.unreadable_count:
            line, _, reason = self._stream.unreadable.row(0)
            raise DataError(
                f"no line is a row: {reason}",
                where=f"{self._stream.name}, line {line}",
                fix="expected a JSON object on each line",
            )

    def _check_lines(self, stream: TableStream) -> None:
        self.unreadable, self.unreadable_count = stream.unreadable, stream.unreadable_count
        if self.unreadable_count and not self._lenient:
            line, _, reason = self.unreadable.row(0)
            raise DataError(
                f"this line is no row: {reason}",
                where=f"{stream.name}, line {line}",
                fix="mend it, or name a file with --quarantine, to set such lines aside",
            )

    def _check_end(self, stream: TableStream) -> None:
        """Say what was mended; refuse a file that ends too early."""
        for note in stream.notes:
            if note.code == "cut_short" and not self._lenient:
                raise DataError(
                    note.message,
                    where=stream.name,
                    fix="fetch the file again, or name a file with --quarantine, to do without",
                )
            current().say(f"note: {stream.name}: {note.message}")
