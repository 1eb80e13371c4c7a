"""Answers: what experts said of rows, in a file that only grows.

One JSON object per line. An answer, a skip and an undo are a line each; nothing is ever rewritten.
A line is confirmed once it is on the disk. Writers take turns through a lock on the file, so
several may review at once, also into one file. What a killed writer left half-written is no answer,
and the next writer removes it.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import msgspec
import polars as pl

from gristmill.core.atomic import sync_path
from gristmill.core.errors import LabelError
from gristmill.data.table import ROW_ID

if TYPE_CHECKING:
    from gristmill.label.review.agreement import Agreement

SUFFIX = ".jsonl"
_TAIL = 1 << 16


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an annotator did with one row.

    Attributes:
        row_id: the row.
        label: name of the class; None where the annotator skipped, or took an answer back.
        annotator: who.
        time: when, ISO 8601 in UTC, with milliseconds.
        action: "answer", "skip" (asked, and not sure), or "undo" (whatever this annotator said of
            the row before does not count).
        content: content hash of the row as it was shown; None where it is not known.
        shown: fingerprint of the labels that were shown with the row.
        suggested: the class that those labels gave, None where they gave none or it was hidden.
        drawn: why the row was asked about: "worth" or "random".
        note: in the annotator's words.
    """

    row_id: int | str
    label: str | None
    annotator: str
    time: str
    action: Literal["answer", "skip", "undo"] = "answer"
    content: str | None = None
    shown: str | None = None
    suggested: str | None = None
    drawn: str | None = None
    note: str | None = None


def now() -> str:
    """Return the time as answers keep it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


class AnswerFile:
    """A file that answers are added to, one at a time, by any number of processes.

    Args:
        path: the file; made with its folder when the first answer comes.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def add(self, answer: Answer) -> None:
        """Write an answer down; when this returns, it is on the disk.

        Raises:
            OSError: it could not be written; the file is as it was before.
        """
        self.add_all([answer])

    def add_all(self, answers: Iterable[Answer]) -> None:
        """Do as `add`, for several answers at once.

        Raises:
            OSError: as `add`; none of them is there then.
        """
        lines = b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers)
        if not lines:
            return
        with self._locked() as handle:
            end = _mend(handle)
            try:
                _write_all(handle, lines)
                os.fsync(handle)
            except OSError as error:
                os.ftruncate(handle, end)
                error.filename = str(self.path)
                raise

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the file for one writer; the lock is gone with the process, killed or not."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if is_new:
                sync_path(self.path.parent)
            yield handle
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Answers:
    """The answers of any number of annotators.

    Attributes:
        events: everything that was written down, file by file, in its order.
        where: the files, for messages.
    """

    events: tuple[Answer, ...]
    where: str = ""

    @classmethod
    def load(cls, *paths: Path | str) -> Self:
        """Read files of answers, or folders of such files.

        A last line without its end is what a killed writer left, and is no answer.

        Raises:
            LabelError: a file is not there, or a line is no answer; says which line.
        """
        files = [file for path in paths for file in _files(Path(path))]
        events = tuple(answer for file in files for answer in _read(file))
        return cls(events, ", ".join(map(str, files)))

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def _current(self) -> tuple[Answer, ...]:
        """The last thing that each annotator said of each row, by the first time they did."""
        latest: dict[tuple[int | str, str], Answer] = {}
        for event in self.events:
            if event.action == "undo":
                latest.pop((event.row_id, event.annotator), None)
            else:
                latest[event.row_id, event.annotator] = event
        return tuple(latest.values())

    @property
    def frame(self) -> pl.DataFrame:
        """What stands: `row_id`, `label` (name), `annotator`, `time`, `content`, `shown`,
        `suggested`, `drawn`, `note`; one row for each annotator and row.

        Raises:
            LabelError: some row ids are numbers and some are texts.
        """
        return self._frame_of(each for each in self._current if each.action == "answer")

    @property
    def skipped(self) -> pl.DataFrame:
        """The rows that an annotator was asked about and was not sure of, in the same columns."""
        return self._frame_of(each for each in self._current if each.action == "skip")

    @property
    def gold(self) -> pl.DataFrame:
        """The answers as gold: `row_id`, `label`, `annotator`, `drawn`."""
        return self.frame.select(ROW_ID, "label", "annotator", "drawn")

    @property
    def annotators(self) -> tuple[str, ...]:
        """Who answered, in the order of the alphabet."""
        return tuple(sorted({each.annotator for each in self._current}))

    def agreement(self) -> Agreement:
        """Return how far the annotators agree on rows that several of them answered."""
        from gristmill.label.review.agreement import agreement

        return agreement(self.gold)

    def seen_by(self, annotator: str) -> pl.Series:
        """Return the ids of the rows that an annotator has answered or skipped."""
        mine = (each for each in self._current if each.annotator == annotator)
        return self._frame_of(mine)[ROW_ID]

    def stale(self, content: pl.DataFrame) -> pl.DataFrame:
        """Return the answers whose row reads otherwise now than when it was judged.

        Args:
            content: `row_id` and `content`, as `content_hashes` gives it.
        """
        mine = self.frame
        if mine[ROW_ID].dtype != content[ROW_ID].dtype:
            return mine.clear()
        current = content.rename({"content": "content_now"})
        judged = mine.join(current, on=ROW_ID, how="inner", maintain_order="left")
        return judged.filter(pl.col("content") != pl.col("content_now")).drop("content_now")

    def _frame_of(self, answers: Iterable[Answer]) -> pl.DataFrame:
        records = [msgspec.to_builtins(each) for each in answers]
        kinds = {type(record[ROW_ID]) for record in records}
        if len(kinds) > 1:
            raise LabelError(
                "some row ids are numbers and some are texts",
                where=self.where or None,
                fix="keep answers about different tables in different files",
            )
        schema: Mapping[str, type[pl.DataType]] = {
            ROW_ID: pl.String if kinds == {str} else pl.Int64,
            **dict.fromkeys(Answer.__struct_fields__[1:], pl.String),
        }
        return pl.DataFrame(records, schema=dict(schema), orient="row").drop("action")


def is_answers(path: Path) -> bool:
    """Say whether a path holds answers: a folder of such files, or a file that begins with one."""
    if path.is_dir():
        return any(map(is_answers, sorted(path.glob(f"*{SUFFIX}"))))
    if not path.name.endswith(SUFFIX) or not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(_TAIL)
    try:
        return isinstance(msgspec.json.decode(first, type=Answer), Answer)
    except msgspec.DecodeError:
        return False


def _files(path: Path) -> list[Path]:
    found = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not found or not all(file.is_file() for file in found):
        raise LabelError(
            "there are no answers",
            where=str(path),
            fix="collect some with `gristmill label review`",
        )
    return found


def _read(file: Path) -> Iterator[Answer]:
    # What follows the last line end is empty, or what a killed writer left.
    lines = file.read_bytes().split(b"\n")[:-1]
    decoder = msgspec.json.Decoder(Answer)
    for number, line in enumerate(lines, 1):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LabelError(
                f"this is no answer: {error}",
                where=f"{file}, line {number}",
                fix="correct or delete that line; the others are whole",
            ) from error


def _mend(handle: int) -> int:
    """Cut off a line without its end; return the size of the file, in bytes."""
    size = end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - _TAIL)
        block = os.pread(handle, end - start, start)
        if (found := block.rfind(b"\n")) >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return end


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
