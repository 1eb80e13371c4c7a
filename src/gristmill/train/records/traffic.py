"""How many bytes a tier moved, how fast, and how long somebody waited for them."""

from __future__ import annotations

from typing import Literal

import msgspec

from gristmill.core.quantities import format_bytes, format_seconds

Direction = Literal["read", "written"]


class Flow(msgspec.Struct):
    """Bytes moved in one direction.

    Attributes:
        bytes_: moved.
        transfers: records moved.
        seconds: wall time during which at least one transfer was under way.
        processor_seconds: spent by the threads that move bytes, digests included.
    """

    bytes_: int = 0
    transfers: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    under_way: int = 0
    since: float = 0.0

    @property
    def bytes_per_second(self) -> float:
        """Rate while transfers were under way; 0 before the first has ended."""
        return self.bytes_ / self.seconds if self.seconds else 0.0

    def begin(self, now: float) -> None:
        """Note that a transfer starts."""
        if not self.under_way:
            self.since = now
        self.under_way += 1

    def end(self, now: float, bytes_: int, processor_seconds: float) -> None:
        """Note that a transfer of `bytes_` has ended; 0 where it failed."""
        self.under_way -= 1
        self.seconds += now - self.since
        self.since = now
        self.bytes_ += bytes_
        self.transfers += bool(bytes_)
        self.processor_seconds += processor_seconds


class Traffic(msgspec.Struct):
    """Traffic between the memory budget and the disk since the start.

    Attributes:
        read: disk to memory.
        written: memory to disk.
        stall_seconds: between a `pin` that was refused and the one that succeeded, summed over
            records or groups of records.
    """

    read: Flow = msgspec.field(default_factory=Flow)
    written: Flow = msgspec.field(default_factory=Flow)
    stall_seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"read {_described(self.read)}, written {_described(self.written)}, "
            f"waited {format_seconds(self.stall_seconds)}"
        )


def _described(flow: Flow) -> str:
    return f"{format_bytes(flow.bytes_)} at {format_bytes(flow.bytes_per_second)}/s"
