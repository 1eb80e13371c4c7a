"""The finished trials of a search, a JSON line each, so that a killed search can go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from gristmill.core.errors import TrainError

T = TypeVar("T")
TrialState = Literal["complete", "pruned", "failed"]


class TrialRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finished trial.

    Attributes:
        number: 0 for the first.
        state: `complete`, `pruned` or `failed`.
        drawn: what the sampler drew, by name (a choice as its position).
        curve: the watched figure after each epoch.
        value: the figure at the best epoch; None for a trial that failed.
        validation_loss: at the best epoch.
        best_epoch: 1 for the first.
        reason: why it failed, or was pruned.
        seconds: wall time.
    """

    number: int
    state: TrialState
    drawn: dict[str, Any]
    curve: list[float] = []
    value: float | None = None
    validation_loss: float | None = None
    best_epoch: int | None = None
    reason: str = ""
    seconds: float = 0.0


class _Heading(msgspec.Struct, frozen=True):
    """First line: which search the trials are of."""

    search: str


class Journal:
    """An append-only file of trials; without a path the trials are kept in memory only.

    Args:
        path: the file, or None.
        search: fingerprint of everything but the number of trials.

    Raises:
        TrainError: the file is of another search, or damaged before its last line.
    """

    def __init__(self, path: Path | None, search: str) -> None:
        self.path = path
        self.trials: list[TrialRecord] = []
        if path is not None and path.exists() and path.stat().st_size:
            self._read(path, search)
        elif path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(_Heading(search))

    def add(self, record: TrialRecord) -> None:
        """Keep a trial; on return it is on disk."""
        self.trials.append(record)
        if self.path is not None:
            self._write(record)

    def _write(self, line: msgspec.Struct) -> None:
        with Path(self.path or "").open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path, search: str) -> None:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # the process died in the middle of the last line
            os.truncate(path, len(whole))
        lines = whole.splitlines()
        if not lines:
            self._write(_Heading(search))
            return
        heading = _decode(lines[0], _Heading, path, 1)
        if heading.search != search:
            raise TrainError(
                "the folder holds another search: model, space, data or settings differ",
                where=str(path),
                fix="give each search a storage folder of its own, or delete this one",
            )
        for number, line in enumerate(lines[1:], start=2):
            record = _decode(line, TrialRecord, path, number)
            # Two processes in one folder finish the same trials; the second line is no news.
            if record.number == len(self.trials):
                self.trials.append(record)


def _decode(line: bytes, kind: type[T], path: Path, number: int) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise TrainError(f"line {number} cannot be read: {error}", where=str(path)) from error
