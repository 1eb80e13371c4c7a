"""Trials of any objective on another machine: their states come and go with the calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from gristmill.core.atomic import atomic_folder
from gristmill.train.hunt.trial_host import Note, Objective, TrialHost, folder_of, note_of

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
        self._own = TemporaryDirectory(prefix="gristmill-trials-")
        self._folder = Path(self._own.name)
        self._host = TrialHost(objective, self._folder, keep_seconds, rank)

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
        home = folder_of(self._folder, trial)
        if state is not None:
            unpack(state, home)
        before = note_of(home)
        note = self._host.unit(trial, copies, at, until, settings)
        return note, packed(home) if note_of(home) != before else None

    def is_well(self) -> bool:
        """Answer, which a dead process cannot."""
        return True


def packed(home: Path) -> State | None:
    """Return the state in a trial's folder, None without one."""
    if not home.is_dir():
        return None
    files = (each for each in sorted(home.rglob("*")) if each.is_file())
    return {each.relative_to(home).as_posix(): each.read_bytes() for each in files}


def unpack(state: State, home: Path) -> None:
    """Put a state in the place of what is in a trial's folder."""
    with atomic_folder(home) as draft:
        for name, data in state.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
