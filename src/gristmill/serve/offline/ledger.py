"""The folder of a prediction under way: its lock, its finished parts, and what each holds.

    .answers.parquet.parts/
      lock                       held by the run that works here
      seen                       a token of this run: who reads the same sees this disk
      3f2a91c077aa01bc/          the job: bundle, data and options
        00000000.json            part 0 is finished: its rows, and size and CRC of its files
        00000000.answers         a part's bytes, as they will stand in the output
        00000000.bad             its bad rows, where they are asked for
        joined                   answers of the first parts, where the output is lines of text

A part counts once its `.json` is there, which is written last. The sums tell a part that a power
cut left torn, so that nothing needs to reach the disk before the whole output does. Answers are in
a file of their own, or in `joined`, behind those of the part before.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from gristmill.core.atomic import naming
from gristmill.core.errors import DataError, ServeError
from gristmill.serve.offline.stored import Stored
from gristmill.serve.offline.summed_file import Content, SummedFile

_LOCK = "lock"
_SEEN = "seen"
_DRAFT = ".draft"
_DONE = ".json"
_JOINED = "joined"
ANSWERS = "answers"
BAD = "bad"


class PartRecord(msgspec.Struct, frozen=True):
    """What a finished part holds.

    Attributes:
        rows: rows in.
        written: rows out; fewer where bad rows are dropped.
        bad: rows that broke the signature or the schema.
        warned: rows that broke the schema and were answered all the same.
        labels: how many rows got each label.
        files: by kind, `answers` and perhaps `bad`.
        columns: names of the answers' columns.
        ids: the type of the row ids.
    """

    rows: int
    written: int
    bad: int
    warned: int
    labels: dict[str, int]
    files: dict[str, Stored]
    columns: tuple[str, ...] = ()
    ids: str = ""

    def joined_at(self, at: int, answers: Stored) -> PartRecord:
        """Return the record of the part once its answers are joined, from the byte `at` on."""
        answers = msgspec.structs.replace(answers, at=at)
        return msgspec.structs.replace(self, files=self.files | {ANSWERS: answers})


class Ledger:
    """The parts of one job; values of it can be sent to other processes.

    Args:
        folder: of the job alone.
        token: what the run that holds it has written beside it.
    """

    def __init__(self, folder: Path, token: str = "") -> None:
        self.folder, self.token = folder, token

    def is_seen(self) -> bool:
        """Tell whether this machine sees the folder, and not another one of the same name."""
        try:
            return (self.folder.parent / _SEEN).read_text() == self.token
        except OSError:
            return False

    def store(self, number: int, files: Mapping[str, Content], record: PartRecord) -> PartRecord:
        """Write a part, and then that it is there; return its record with the sums of its files.

        Args:
            number: of the part.
            files: content by kind.
            record: what it holds, without `files`.

        Raises:
            OSError: the disk refuses; names the file.
        """
        sums = self.write(number, files)
        return self.finish(number, msgspec.structs.replace(record, files=sums))

    def write(self, number: int, files: Mapping[str, Content]) -> dict[str, Stored]:
        """Write files of a part, which does not count yet; return their sums.

        Raises:
            OSError: as `store`.
        """
        return {
            kind: self._write(self.path(number, kind), content) for kind, content in files.items()
        }

    def finish(self, number: int, record: PartRecord) -> PartRecord:
        """Write that a part is there, with the sums of all that belongs to it.

        Raises:
            OSError: as `store`.
        """
        self._write(self._done(number), msgspec.json.encode(record))
        return record

    @property
    def joined(self) -> Path:
        """Where the answers of the first parts lie one behind the other, if they are joined."""
        return self.folder / _JOINED

    def draft(self, kind: str) -> Path:
        """Return a path beside the parts that nothing else uses, with nothing there."""
        path = self.folder / f"{kind}{_DRAFT}"
        _remove(path)
        return path

    def records(self) -> dict[int, PartRecord]:
        """Return the finished parts by number; forget those whose files are damaged or missing,
        and of joined ones those behind such a part."""
        found: dict[int, PartRecord] = {}
        for path in sorted(self.folder.glob(f"*{_DONE}")):
            number = int(path.stem)
            try:
                record = msgspec.json.decode(path.read_bytes(), type=PartRecord)
            except msgspec.DecodeError:
                record = None
            if record is not None and self._sound(number, record, found.get(number - 1)):
                found[number] = record
            else:
                path.unlink()
        return found

    def read(self, number: int, kind: str, stored: Stored) -> bytes:
        """Return the bytes of a part's file.

        Raises:
            ServeError: they are not those that were written.
        """
        path = self.path(number, kind)
        data = path.read_bytes()
        if Stored.of(data) != stored:
            raise ServeError(
                "this finished part has changed since it was written",
                where=str(path),
                fix="run the same command again: it does this part anew",
            )
        return data

    def _sound(self, number: int, record: PartRecord, before: PartRecord | None) -> bool:
        if not _follows(number, record, before):
            return False
        for kind, stored in record.files.items():
            path = self.path(number, kind) if stored.at is None else self.joined
            if not path.exists():
                return False
            if stored.at is None and path.stat().st_size != stored.size:
                return False
            if _sum(path, stored.at or 0, stored.size) != (stored.size, stored.crc):
                return False
        return True

    def path(self, number: int, kind: str) -> Path:
        """Return where a file of a part is."""
        return self.folder / f"{number:08d}.{kind}"

    def _done(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_DONE}"

    def _write(self, target: Path, content: Content) -> Stored:
        # A worker of a killed run, here or elsewhere, may still be at it: no two share a draft.
        draft = target.with_name(f"{target.name}.{secrets.token_hex(8)}{_DRAFT}")
        try:
            with naming(target, draft):
                with draft.open("wb") as file:
                    sums = SummedFile(file).sums_of(content)
                draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return sums


def work_folder(out: Path) -> Path:
    """Return where the parts of an output are kept while it is under way."""
    return out.with_name(f".{out.name}.parts").absolute()


@contextmanager
def opened_ledger(out: Path, job: str) -> Iterator[Ledger]:
    """Hold an output's work folder, made if need be, for one run; a killed run holds nothing.

    Parts of other jobs are thrown away. The folder goes with the block, unless it raises.

    Args:
        out: the output.
        job: fingerprint of all that decides what the parts hold.

    Raises:
        ServeError: another run holds it.
        DataError: it cannot be made.
    """
    work = work_folder(out)
    with _locked(work):
        folder = work / job[:16]
        for path in work.iterdir():
            if path.is_dir() and path != folder:
                shutil.rmtree(path)
        folder.mkdir(exist_ok=True)
        for draft in folder.glob(f"*{_DRAFT}*"):
            _remove(draft)
        token = secrets.token_hex(16)
        (work / _SEEN).write_text(token)
        yield Ledger(folder, token)
        shutil.rmtree(work)


def kept_rows(out: Path) -> int:
    """Return how many rows of an unfinished output are done."""
    rows = 0
    for path in work_folder(out).glob(f"*/*{_DONE}"):
        rows += msgspec.json.decode(path.read_bytes(), type=PartRecord).rows
    return rows


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    while True:
        try:
            work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(work, error) from error
        try:
            file = (work / _LOCK).open("wb")
        except FileNotFoundError:  # the run before has just ended and removed the folder
            continue
        except OSError as error:
            raise _unwritable(work, error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ServeError(
                    "another run is writing the same output", where=str(work), fix="wait for it"
                ) from error
            if not _same(file, work / _LOCK):  # removed between our two calls
                continue
            yield
            return


def _unwritable(work: Path, error: OSError) -> DataError:
    return DataError(
        f"the answers cannot be written: {error.strerror or error}",
        where=str(work.parent),
        fix="name a place that can be written, on a disk with room",
    )


def _same(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _follows(number: int, record: PartRecord, before: PartRecord | None) -> bool:
    """Tell whether a part, if it is joined, lies right behind the one before, which is, too."""
    answers = record.files.get(ANSWERS)
    if number == 0 or answers is None or answers.at is None:
        return True
    last = None if before is None else before.files.get(ANSWERS)
    return last is not None and last.at is not None and last.at + last.size == answers.at


def _sum(path: Path, start: int, size: int) -> tuple[int, int]:
    """Return how many of so many bytes there are, and their CRC."""
    crc = found = 0
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(min(1 << 20, size - found)):
            crc, found = zlib.crc32(block, crc), found + len(block)
    return found, crc
