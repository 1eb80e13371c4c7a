"""Records on their way from the pool to a device's own memory, ahead of the task that needs them.

A task is handed over when all its records are in the pool and nobody else is changing them; those
that are in it sooner need not wait for the others to begin their way up. While a record is copied
it is pinned like that of a task, though nobody may see it changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.train.jobs.running_trial import RunningTrial
from gristmill.train.jobs.trial_plan import BUFFERS
from gristmill.train.records.key import Key
from gristmill.train.records.pager import Pager, Use


@dataclass(slots=True, eq=False)
class Lifted:
    """Records that a worker was told to bring up.

    Attributes:
        trial: whose.
        uses: the records, pinned until the worker replies.
        message: to the worker.
        void: the trial has gone back, and nothing is pinned any more.
    """

    trial: RunningTrial
    uses: list[Use]
    message: tuple[Any, ...]
    void: bool = False


class Lifts:
    """Pins records that can be brought up, and lets them go.

    Args:
        pager: what knows all records.
    """

    def __init__(self, pager: Pager) -> None:
        self._pager = pager

    def of(self, trial: RunningTrial, uses: Sequence[Use], known: set[Key]) -> Lifted | None:
        """Pin those records of a waiting task that are in memory; None where there are none.

        Args:
            trial: whose.
            uses: what the task needs.
            known: records that were lifted for it already; more are added.
        """
        found = [use for use in uses if use[0] not in known and self._ready(trial, use)]
        wanted = []
        for key, version, _ in found:
            offset = self._pager.pin(key, version)
            if offset is not None:
                known.add(key)
                wanted.append((key[1:], version, offset))
        if not wanted:
            return None
        pinned = [(key, version, False) for key, version, _ in found if key in known]
        return Lifted(trial, pinned, ("lift", trial.number, wanted))

    def end(self, lifted: Lifted) -> None:
        """Let records go."""
        if not lifted.void:
            for key, version, _ in lifted.uses:
                self._pager.unpin(key, version, dirty=False)

    def _ready(self, trial: RunningTrial, use: Use) -> bool:
        """Say whether a record can be lifted; what changes between versions comes with its task."""
        key, version, _ = use
        pager = self._pager
        made = key not in trial.unmade and key[2] != BUFFERS
        return made and pager.resident(key) and pager.version(key) == version
