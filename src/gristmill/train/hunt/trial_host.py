"""What works in a worker process on any objective, and the files in which trials pause.

    folder/trial-0003/trial.json     budget, copies, value: what the state is a state of
                      ...            whatever the trainable saved

A folder is replaced whole, where a trial may pause and every few seconds.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from gristmill.core.atomic import atomic_folder
from gristmill.core.errors import TrainError
from gristmill.train.workers.late_compiler import postpone_compiler

NOTE = "trial.json"
"""The file of a state that says what it is a state of."""


class Trainable(Protocol):
    """A model in training, made by an objective from settings alone."""

    def advance(self) -> float:
        """Train one more unit of budget (an epoch); return the value that is compared."""

    def save(self, folder: Path) -> None:
        """Write all that training depends on into an empty folder."""

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote."""


Objective: TypeAlias = Callable[[Mapping[str, Any]], Trainable]
"""Makes a trainable from settings; importable by name, for it is sent to worker processes."""


class Note(msgspec.Struct, frozen=True):
    """What a trial's state is a state of.

    Attributes:
        budget: what it is trained for.
        copies: how often another's state had taken its place by then.
        value: at that budget; None for a copy.
        seconds: that the last unit took.
    """

    budget: int
    copies: int
    value: float | None = None
    seconds: float = 0.0


class States(Protocol):
    """Where a host keeps the states of trials."""

    def note(self, trial: int) -> Note | None:
        """Return what the state of a trial is, None without one."""

    def load(self, trial: int, trainable: Trainable) -> None:
        """Let a trainable go on from the state of a trial, which is there."""

    def keep(self, trial: int, trainable: Trainable, note: Note) -> None:
        """Put the state of a trainable in the place of its trial's."""


class FolderStates:
    """States in the folder of the search.

    Args:
        folder: of the search.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, trial: int) -> Note | None:
        """See `States.note`."""
        return note_of(folder_of(self._folder, trial))

    def load(self, trial: int, trainable: Trainable) -> None:
        """See `States.load`."""
        trainable.load(folder_of(self._folder, trial))

    def keep(self, trial: int, trainable: Trainable, note: Note) -> None:
        """See `States.keep`."""
        with atomic_folder(folder_of(self._folder, trial)) as draft:
            write_state(draft, trainable, note)


class TrialHost:
    """Trains one unit of one trial at a time; what it trained last stays at hand.

    Args:
        objective: makes what is trained.
        states: keeps the states of trials.
        keep_seconds: a state is kept where its trial may pause, and when the last is older.
        rank: of the worker.
    """

    def __init__(
        self, objective: Objective, states: States, keep_seconds: float, rank: int = 0
    ) -> None:
        if "torch" in sys.modules and parent_process() is not None:  # not in the user's own
            postpone_compiler()
        self.objective, self.states, self.keep_seconds = objective, states, keep_seconds
        self.rank = rank
        self._at_hand: tuple[int, int, int] | None = None
        self._trainable: Trainable | None = None
        self._kept = 0.0

    def unit(
        self, trial: int, copies: int, at: int, until: int, settings: Mapping[str, Any]
    ) -> Note:
        """Return what a trial shows at budget `at` + 1.

        Args:
            trial: its number.
            copies: see `Resume.copies`.
            at: what it is trained for.
            until: where it may pause; on return its state there is kept.
            settings: it has.

        Raises:
            TrainError: a state that it had taken from another is gone.
        """
        kept = self._kept_note(trial, copies)
        if kept is not None and kept.budget > at:
            return kept  # trained and kept, but the search died before it heard of it
        trainable = self._ready(trial, copies, at, settings, kept)
        self._at_hand = None  # until the unit is whole
        began = time.perf_counter()
        value = float(trainable.advance())
        note = Note(at + 1, copies, value, time.perf_counter() - began)
        if note.budget == until or time.monotonic() - self._kept >= self.keep_seconds:
            self.states.keep(trial, trainable, note)
            self._kept = time.monotonic()
        self._at_hand, self._trainable = (trial, copies, at + 1), trainable
        return note

    def is_well(self) -> bool:
        """Answer, which a dead process cannot."""
        return True

    def _kept_note(self, trial: int, copies: int) -> Note | None:
        note = self.states.note(trial)
        return note if note is not None and note.copies == copies else None

    def _ready(
        self, trial: int, copies: int, at: int, settings: Mapping[str, Any], kept: Note | None
    ) -> Trainable:
        if self._trainable is not None and self._at_hand == (trial, copies, at):
            return self._trainable
        if kept is None and copies:
            raise TrainError(f"the state that trial {trial} had taken from another is gone")
        self._trainable = None  # its memory goes before the next one is made
        trainable = self.objective(settings)
        if kept is not None:
            self.states.load(trial, trainable)
        for _ in range(kept.budget if kept else 0, at):  # what was reported, but not kept
            trainable.advance()
        self._kept = time.monotonic()
        return trainable


def folder_of(folder: Path, trial: int) -> Path:
    """Return where the state of a trial lies."""
    return folder / f"trial-{trial:04d}"


def write_state(home: Path, trainable: Trainable, note: Note) -> None:
    """Write the state of a trainable into an empty folder."""
    trainable.save(home)
    (home / NOTE).write_bytes(msgspec.json.encode(note))


def decoded(data: bytes) -> Note:
    """Read a note.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return msgspec.json.decode(data, type=Note)


def note_of(home: Path) -> Note | None:
    """Return what the state in a trial's folder is, None without one.

    Raises:
        TrainError: it cannot be read.
    """
    file = home / NOTE
    try:
        return decoded(file.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise TrainError(f"no readable state of a trial: {error}", where=str(file)) from error


def copy_state(folder: Path, source: int, trial: int, copies: int) -> None:
    """Put one trial's state in the place of another's, unless that has been done.

    Raises:
        TrainError: the source has no state.
    """
    home, taken = folder_of(folder, trial), folder_of(folder, source)
    mine, other = note_of(home), note_of(taken)
    if mine is not None and mine.copies == copies:
        return
    if other is None:
        raise TrainError(f"trial {trial} is to take the state of trial {source}, which has none")
    with atomic_folder(home) as draft:
        shutil.copytree(taken, draft, dirs_exist_ok=True)
        (draft / NOTE).write_bytes(msgspec.json.encode(Note(other.budget, copies)))
