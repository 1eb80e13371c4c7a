"""Where a device computes with records: what a worker asks of any memory, and the host's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from gristmill.train.jobs.order import Done, Order
from gristmill.train.jobs.trial_spec import TrialSpec
from gristmill.train.records.layout import RecordLayout
from gristmill.train.workers.later import Later

Place: TypeAlias = tuple[int, str]
"""(shard, section) of a record."""
Layouts: TypeAlias = Mapping[Place, RecordLayout]
"""Where tensors lie in the records of a task."""
Changed: TypeAlias = Callable[[], Mapping[Place, Collection[str]]]
"""Tells the names of the tensors that a task has changed, by record."""
Lift: TypeAlias = tuple[Place, int, int]
"""A record to be brought in before its task: which, its version, its offset in the pool."""


class Memory(Protocol):
    """The memory that a device computes in; used by one thread, between the tasks it is given.

    Attributes:
        device: what torch calls it.
        room: what records lie in while they are computed with, uint8[n].
        said: what a user should know of it; often nothing.
    """

    device: torch.device
    room: Tensor
    said: str

    def open(self, trial: int, spec: TrialSpec) -> None:
        """Take up a trial."""

    def bring(self, order: Order, layouts: Layouts) -> list[int]:
        """Bring the records of a task in; return where in the room each lies.

        Raises:
            TrainError: there is not room for all of them.
        """

    def views(self, order: Order, place: Place, layout: RecordLayout) -> dict[str, Tensor]:
        """Return the tensors of a record that was brought in, by name."""

    def finish(self, order: Order, changed: Changed, done: Done) -> Done | Later:
        """Give a task's records back, and return what came of it, or what comes."""

    def receive(self, value: Any) -> Any:
        """Return a value that another device made, where this one computes."""

    def lift(self, trial: int, wanted: Sequence[Lift], layouts: Layouts) -> Later | None:
        """Begin to bring in what a later task needs, as far as there is room."""

    def forget(self, trial: int) -> None:
        """Drop copies of a trial's records: their rooms in the pool may become another's."""


class HostMemory:
    """The pool itself: records are computed with where they lie, and nothing is copied.

    Args:
        pool: uint8[n].
    """

    device = torch.device("cpu")
    said = ""

    def __init__(self, pool: Tensor) -> None:
        self.room = pool

    def open(self, trial: int, spec: TrialSpec) -> None:
        """Do nothing: there is nothing to know."""

    def bring(self, order: Order, layouts: Layouts) -> list[int]:
        """Return where in the pool records lie."""
        return [order.offsets[place] for place in layouts]

    def views(self, order: Order, place: Place, layout: RecordLayout) -> dict[str, Tensor]:
        """Return views of the pool."""
        return host_views(self.room, order.offsets[place], layout)

    def finish(self, order: Order, changed: Changed, done: Done) -> Done:
        """Return what came of the task: all of it was done in the pool."""
        del order, changed
        return done

    def receive(self, value: Any) -> Any:
        """Return the value."""
        return value

    def lift(self, trial: int, wanted: Sequence[Lift], layouts: Layouts) -> None:
        """Do nothing: records are in already."""

    def forget(self, trial: int) -> None:
        """Do nothing: there are no copies."""


def host_views(pool: Tensor, offset: int, layout: RecordLayout) -> dict[str, Tensor]:
    """Return the tensors of a record in the pool, by name."""
    return layout.views(pool[offset : offset + layout.nbytes])
