"""What happened in a hunt, a checksummed line an event, so that a killed one can go on.

    1f0c9a3e {"version":1,"search":"5d41..."}
    77ab03c1 {"type":"wanted","trials":16}
    02d4f5aa {"type":"issued","free":2,"instructions":[...],"drawn":{"0":{"lr":0.01}, ...}}
    90ee1b47 {"type":"reported","trial":0,"budget":1,"value":0.61,"decision":"pause","seconds":2.1}

The first eight digits are the CRC-32 of the rest of the line. A line that was cut short by a crash
is the last one, and is dropped; damage anywhere else is refused.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from gristmill.core.errors import TrainError
from gristmill.train.hunt.controller import Decision, Instruction

try:
    import fcntl
except ImportError:  # not on Windows: there a second process is not noticed
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_VERSION = 1


class Wanted(msgspec.Struct, frozen=True, tag="wanted"):
    """So many trials there are to be, from here on."""

    trials: int


class Issued(msgspec.Struct, frozen=True, tag="issued", omit_defaults=True):
    """The controller was asked what to do, and told.

    Attributes:
        free: how many trials it might start or resume.
        instructions: its answer.
        drawn: settings drawn for it, by trial, as `Space.values` takes them.
    """

    free: int
    instructions: list[Instruction]
    drawn: dict[int, dict[str, str | int | float | bool | None]] = {}


class Reported(msgspec.Struct, frozen=True, tag="reported", omit_defaults=True):
    """A trial showed a value.

    Attributes:
        trial: its number.
        budget: what it is trained for.
        value: of the metric that is compared, as it is.
        decision: the controller's answer.
        seconds: device seconds since its last report.
        metrics: other figures of the same moment.
        why: it was stopped, where it was.
    """

    trial: int
    budget: int
    value: float
    decision: Decision
    seconds: float = 0.0
    metrics: dict[str, float] = {}
    why: str = ""


class Failed(msgspec.Struct, frozen=True, tag="failed", omit_defaults=True):
    """A trial is lost."""

    trial: int
    reason: str
    seconds: float = 0.0


Event: TypeAlias = Wanted | Issued | Reported | Failed


class _Heading(msgspec.Struct, frozen=True):
    """First line: which search the events are of."""

    version: int
    search: str


class Record:
    """An append-only file of events; without a path they are kept in memory only.

    An open file is locked: two processes cannot conduct one hunt. The lock goes with its process.

    Args:
        path: the file, or None.
        search: fingerprint of all that decisions depend on but the number of trials.

    Attributes:
        events: those found in the file, and then those added.

    Raises:
        TrainError: the file is of another search, in use, or damaged before its last line.
    """

    def __init__(self, path: Path | None, search: str) -> None:
        self.path = path
        self.events: list[Event] = []
        self._file: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._lock(path)
                self._read(path, search)
            except BaseException:
                self.close()
                raise

    def add(self, event: Event) -> None:
        """Keep an event. On return it outlives this process, and a power failure too if the event
        is more than a report after which the trial just goes on.
        """
        self.events.append(event)
        self._write(event, durable=not isinstance(event, Reported) or event.decision != "continue")

    def close(self) -> None:
        """Let go of the file; may be called again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, path: Path) -> None:
        if self._file is None or fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainError(
                "another process is conducting this search",
                where=str(path),
                fix="wait until it ends, or give each search a folder of its own",
            ) from error

    def _write(self, line: msgspec.Struct, *, durable: bool) -> None:
        if self._file is None:
            return
        text = msgspec.json.encode(line)
        os.write(self._file, b"%08x %b\n" % (zlib.crc32(text), text))
        if durable:
            os.fsync(self._file)

    def _read(self, path: Path, search: str) -> None:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if lines and not _is_sound(lines[-1]):  # a crash may also leave a line of zeros or parts
            whole = whole[: -len(lines.pop()) - 1]
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        if not lines:
            self._write(_Heading(_VERSION, search), durable=True)
            return
        heading = _decode(lines[0], _Heading, path, 1)
        if heading != _Heading(_VERSION, search):
            raise TrainError(
                "the folder holds another search: model, space, data, rules or settings differ",
                where=str(path),
                fix="give each search a storage folder of its own, or delete this one",
            )
        self.events = _events(lines[1:], path)


def _events(lines: Sequence[bytes], path: Path) -> list[Event]:
    kind: type[Event] = Event  # type: ignore[assignment]
    return [_decode(line, kind, path, number) for number, line in enumerate(lines, start=2)]


def _is_sound(line: bytes) -> bool:
    return line[:9] == b"%08x " % zlib.crc32(line[9:])


def _decode(line: bytes, kind: type[T], path: Path, number: int) -> T:
    if not _is_sound(line):
        raise TrainError(f"line {number} is damaged: its checksum does not fit", where=str(path))
    try:
        return msgspec.json.decode(line[9:], type=kind)
    except msgspec.MsgspecError as error:
        raise TrainError(f"line {number} cannot be read: {error}", where=str(path)) from error
