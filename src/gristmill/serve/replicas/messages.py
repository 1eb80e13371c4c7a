"""What a process says to its nursery and to its replicas, and they to it.

The fixed part of a message (`channel.Note`) says which kind it is; its body is one of the structs
here as msgpack, or packed rows.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gristmill.core.processes.death import Death
from gristmill.store.signature import Field

OUT_OF_MEMORY = 77
"""Exit code of a replica that has used up the memory it was allowed."""


class Kind(IntEnum):
    """Kinds of messages, and what comes with each."""

    READY = 0
    """From the nursery: its modules are loaded (Failure: they are not)."""
    FORK = 1
    """To the nursery: Birth; the replica's socket."""
    BORN = 2
    """From the nursery: Born; a pidfd of it."""
    ENDED = 3
    """From the nursery: Ended."""
    OPEN = 4
    """To a replica: Opening; its arenas, and the shared weights where there are some."""
    OPENED = 5
    """From a replica: Opened; the shared weights, from the first to load them."""
    RUN = 6
    """To a replica: rows, in the message or in the slot's arena."""
    ANSWER = 7
    """From a replica: rows, in the message or in the slot's arena."""
    FAILED = 8
    """From a replica, to OPEN or RUN: Failure."""
    PING = 9
    """To a replica that has nothing to do."""
    PONG = 10
    """From a replica: it lives."""


class Birth(msgspec.Struct, frozen=True):
    """How a new process is to live.

    Attributes:
        number: of the process among all of the nursery's; never used twice.
        threads: threads of numeric libraries.
        cores: numbers of the cores it may run on; empty: any.
        nice: how much it gives way to other processes.
    """

    number: int
    threads: int = 1
    cores: tuple[int, ...] = ()
    nice: int = 0


class Born(msgspec.Struct, frozen=True):
    """A process was forked, or why not."""

    number: int
    pid: int = 0
    failure: str = ""


class Ended(msgspec.Struct, frozen=True):
    """A process has ended, and how."""

    number: int
    death: Death


class Opening(msgspec.Struct, frozen=True):
    """What a replica is to open.

    Attributes:
        opener: `module:function` that opens it.
        source: what the opener is told: a bundle's folder.
        threads: threads of one operator.
        memory: most bytes of memory of its own, besides what it has once its model is open; 0: no
            limit.
        slots: batches that may be under way at once, each with its own two arenas.
        weights: whether shared weights come with it.
        fingerprint: what the opened model must have; empty where nothing is expected yet.
    """

    opener: str
    source: str
    threads: int
    memory: int = 0
    slots: int = 1
    weights: bool = False
    fingerprint: str = ""


class Opened(msgspec.Struct, frozen=True):
    """What a replica has opened: what it knows of its model, and the seconds that it took."""

    name: str
    fingerprint: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    classes: tuple[str, ...]
    seconds: float
