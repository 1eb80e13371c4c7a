"""What a relay and the station on its node say to each other, before and behind the bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from gristmill.core.processes.failure import Failure
from gristmill.train.jobs.node_copies import Extent
from gristmill.train.jobs.order import Done, Order

if TYPE_CHECKING:
    from gristmill.train.workers.value_handle import Handle

Portion: TypeAlias = "tuple[Handle, list[Extent] | None]"
"""A value, and which of its bytes are meant; None for all."""


@dataclass(frozen=True, slots=True)
class Echo:
    """First message: send bytes back, until the connection ends; to measure it."""

    nbytes: int


@dataclass(frozen=True, slots=True)
class Hello:
    """First message, to be answered: have a worker whose memory is laid out as that of the relay.

    Attributes:
        number: of the relay, which owns the values that the worker makes.
        pool_bytes: of the pool of records; on the node only what is used takes memory.
        values_bytes: of each worker's memory for values.
    """

    number: int
    pool_bytes: int
    values_bytes: int


@dataclass(frozen=True, slots=True)
class Open:
    """Take up a trial: its plan follows as an object."""

    trial: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Call a method of the worker's target with the number of a trial: `forget` or `close`."""

    method: str
    trial: int


@dataclass(frozen=True, slots=True)
class Run:
    """Do a task. The bytes of `records` and of `values` follow.

    Attributes:
        order: of the task.
        holes: memory of records to give back first.
        records: what of the pool follows.
        values: what of other workers' values follows.
        back: what of the pool is to come back.
    """

    order: Order
    holes: list[Extent] = field(default_factory=list)
    records: list[Extent] = field(default_factory=list)
    values: list[Portion] = field(default_factory=list)
    back: list[Extent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """A message was done; `said` is for the user."""

    said: object = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A task was done. The bytes that were to come back follow, then those of `values`."""

    done: Done
    values: list[Handle]


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed; the worker is well."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Died:
    """The worker on the node has died; the connection ends.

    Attributes:
        reason: of its death.
        by_its_own_doing: whether what it did may be to blame.
    """

    reason: str
    by_its_own_doing: bool
