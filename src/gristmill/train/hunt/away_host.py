"""Trials of any objective on another machine: their states come and go with the calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from gristmill.core.atomic import atomic_folder
from gristmill.train.hunt.trial_host import (
    NOTE,
    Note,
    Objective,
    Trainable,
    TrialHost,
    decoded,
    write_state,
)

State: TypeAlias = dict[str, bytes]
"""The files of a trial's folder, by their paths within it."""


class AwayHost:
    """A `TrialHost` that does not share the folder of the search.

    Args:
        objective: makes what is trained.
        keep_seconds: a state is handed back where its trial may pause, and when the last is older.
        rank: of the worker.
    """

    def __init__(self, objective: Objective, keep_seconds: float, rank: int = 0) -> None:
        self._states = _TravellingStates()
        self._host = TrialHost(objective, self._states, keep_seconds, rank)

    def unit(
        self,
        trial: int,
        copies: int,
        at: int,
        until: int,
        settings: Mapping[str, Any],
        state: State | None,
    ) -> tuple[Note, State | None]:
        """Return what a trial shows at budget `at` + 1, and its state if that is to be kept.

        Args:
            trial, copies, at, until, settings: see `TrialHost.unit`.
            state: to go on from, where the trial was elsewhere before.

        Raises:
            TrainError: a state that it had taken from another is gone.
        """
        if state is not None:
            self._states.come[trial] = state
        note = self._host.unit(trial, copies, at, until, settings)
        return note, self._states.go.pop(trial, None)

    def is_well(self) -> bool:
        """Answer, which a dead process cannot."""
        return True


class _TravellingStates:
    """States in memory, on disk only while a trainable reads or writes its own.

    The process is ended where it stands, when its engine closes: what lay on the disk of its node
    would stay there.

    Attributes:
        come: with the calls, by trial, until they are loaded.
        go: with the results.
    """

    def __init__(self) -> None:
        self.come: dict[int, State] = {}
        self.go: dict[int, State] = {}

    def note(self, trial: int) -> Note | None:
        """See `States.note`."""
        return decoded(self.come[trial][NOTE]) if trial in self.come else None

    def load(self, trial: int, trainable: Trainable) -> None:
        """See `States.load`."""
        with TemporaryDirectory(prefix="gristmill-trial-") as name:
            write_files(self.come.pop(trial), Path(name))
            trainable.load(Path(name))

    def keep(self, trial: int, trainable: Trainable, note: Note) -> None:
        """See `States.keep`."""
        with TemporaryDirectory(prefix="gristmill-trial-") as name:
            write_state(Path(name), trainable, note)
            self.go[trial] = files_of(Path(name))


def packed(home: Path) -> State | None:
    """Return the state in a trial's folder, None without one."""
    return files_of(home) if home.is_dir() else None


def unpack(state: State, home: Path) -> None:
    """Put a state in the place of what is in a trial's folder."""
    with atomic_folder(home) as draft:
        write_files(state, draft)


def files_of(folder: Path) -> State:
    """Return the files in a folder."""
    files = (each for each in sorted(folder.rglob("*")) if each.is_file())
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}


def write_files(state: State, folder: Path) -> None:
    """Write files into a folder."""
    for name, data in state.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
