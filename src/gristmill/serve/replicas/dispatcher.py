"""Which process runs which batch; no batch is lost between them, and none is answered twice."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from gristmill.core.quantities import format_seconds
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.process_replica import ProcessReplica
from gristmill.serve.replicas.remote_replica import RemoteReplica
from gristmill.serve.replicas.task import Task

log = logging.getLogger("gristmill.serve")

RETRY = (("Retry-After", "1"),)


class Counts(msgspec.Struct):
    """What happened since the set was started.

    Attributes:
        lost: processes that ended or were given up.
        retried: batches, or rows of such, that were run again because of that.
        refused: batches that were refused since no replica was left.
    """

    lost: int = 0
    retried: int = 0
    refused: int = 0


class Dispatcher:
    """Hands batches to the processes of a set.

    A batch goes to the place where it was started. If that place has no process, or loses it, the
    batch is homeless: whichever process has room takes it, before its own.

    Args:
        homeless_seconds: how long a batch may wait while there is no process at all.
    """

    def __init__(self, homeless_seconds: float) -> None:
        self.places: Sequence[ProcessReplica] = ()
        self.counts = Counts()
        self.stopping = False
        self._homeless: deque[Task] = deque()
        self._homeless_since = 0.0
        self._homeless_seconds = homeless_seconds

    def submit(self, place: ProcessReplica, task: Task) -> None:
        """Run a batch at a place, or wherever it can be run."""
        if self.stopping:
            task.finish(Refusal(503, "stopping", "the server is stopping", headers=RETRY))
        elif place.process is not None:
            place.waiting.append(task)
            self._fill(place)
        else:
            self._note_homeless()
            self._homeless.append(task)
            self._fill_all()

    def adopt(self, place: ProcessReplica, process: RemoteReplica) -> RemoteReplica | None:
        """Put a process in a place; return the one that was there, which takes nothing new."""
        before = place.occupy(process)
        process.on_free = lambda: self._fill(place)
        process.on_lost = lambda *told: self._lost(place, process, *told)
        self._fill(place)
        return before

    def tick(self, now: float) -> None:
        """Refuse what waits for a process, if none comes."""
        if not self._homeless or any(place.available for place in self.places):
            return
        hopeless = all(place.problem is not None for place in self.places)
        waited = now - self._homeless_since
        if hopeless or waited > self._homeless_seconds:
            self.refuse(_no_replica(waited, self.places))

    def refuse(self, refusal: Refusal) -> None:
        """Refuse all that waits."""
        waiting = [*self._homeless, *(task for place in self.places for task in place.withdraw())]
        self._homeless.clear()
        self.counts.refused += len(waiting)
        for task in waiting:
            task.finish(refusal)

    def _fill(self, place: ProcessReplica) -> None:
        process = place.process
        while process is not None and process.has_room:
            if self._homeless:
                process.run(self._homeless.popleft())
            elif place.waiting:
                process.run(place.waiting.popleft())
            else:
                return

    def _fill_all(self) -> None:
        for place in self.places:
            self._fill(place)

    def _note_homeless(self) -> None:
        if not self._homeless:
            self._homeless_since = time.monotonic()

    def _lost(
        self,
        place: ProcessReplica,
        process: RemoteReplica,
        reason: str,
        tasks: list[Task],
        began: bool,
    ) -> None:
        """Run again what a process has left undone, before all that came later."""
        log.warning("replica %d (process %d) %s", place.rank, process.pid, reason)
        self.counts.lost += 1
        if place.process is process:
            place.vacate()
        again = tasks[0].lost(reason) + tasks[1:] if began else tasks
        self.counts.retried += len(again)
        self._note_homeless()
        self._homeless.extendleft(reversed([*again, *place.withdraw()]))
        self._fill_all()


def _no_replica(waited: float, places: Iterable[ProcessReplica]) -> Refusal:
    problems = [str(place.problem) for place in places if place.problem is not None]
    why = problems[0] if problems else f"none came back within {format_seconds(waited)}"
    return Refusal(503, "no_replica", f"no replica of the model is left: {why}", headers=RETRY)
