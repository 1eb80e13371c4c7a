"""Gates: which backward has to be done before a forward may start, to bound what is kept.

A gate is one more kind of edge in a trial's graph. GPipe, 1F1B and interleaved pipelines are the
same graph with different gates.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from gristmill.core.errors import UsageError

Place: TypeAlias = tuple[int, int]
"""(stage, number of the micro-batch within its replica)"""


class Gate(Protocol):
    """Edges between forwards and backwards of one replica, besides those of the model itself."""

    def needs(self, stage: int, micro: int) -> Place | None:
        """Return the backward that a forward waits for, None for none."""
        ...

    def opens(self, stage: int, micro: int) -> Place | None:
        """Return the forward that a backward makes room for; the inverse of `needs`."""
        ...

    def holds(self, stage: int, micro: int) -> Place | None:
        """Return the forward that a backward waits for, None for none."""
        ...

    def frees(self, stage: int, micro: int) -> Place | None:
        """Return the backward that a forward sets free; the inverse of `holds`."""
        ...


class Flush(NamedTuple):
    """GPipe's: all forwards of a stage, then its backwards (Huang et al. 2019, section 2.3)."""

    micros: int

    def needs(self, stage: int, micro: int) -> Place | None:
        """Return None: every forward may start."""
        return None

    def opens(self, stage: int, micro: int) -> Place | None:
        """Return None."""
        return None

    def holds(self, stage: int, micro: int) -> Place | None:
        """Return the last forward of the stage."""
        return stage, self.micros - 1

    def frees(self, stage: int, micro: int) -> Place | None:
        """Return the first backward, for the last forward."""
        return (stage, 0) if micro == self.micros - 1 else None


class Depth(NamedTuple):
    """At most `bounds[stage]` micro-batches of a stage between forward and backward.

    With bounds K, K-1, ... 1 this is 1F1B (Narayanan et al. 2019, PipeDream, section 3.2; with
    the flush of every step).
    """

    bounds: tuple[int, ...]

    def needs(self, stage: int, micro: int) -> Place | None:
        """Return the backward that frees a place for this forward."""
        earlier = micro - self.bounds[stage]
        return (stage, earlier) if earlier >= 0 else None

    def opens(self, stage: int, micro: int) -> Place | None:
        """Return the forward that this backward makes room for."""
        return stage, micro + self.bounds[stage]

    def holds(self, stage: int, micro: int) -> Place | None:
        """Return None: a backward may start as soon as its gradient is there."""
        return None

    def frees(self, stage: int, micro: int) -> Place | None:
        """Return None."""
        return None


class Interleaved(msgspec.Struct, frozen=True):
    """Interleaved 1F1B: device r holds stages r, r + K, r + 2K, ... (Narayanan et al. 2021, 2.2).

    Attributes:
        devices: K.
        chunks: stages a device holds.
        micros: micro-batches of a step; a multiple of K.
    """

    devices: int
    chunks: int
    micros: int

    def __post_init__(self) -> None:
        if self.micros % self.devices:
            raise UsageError(
                f"expected a multiple of {self.devices} micro-batches, one for each device of an "
                f"interleaved pipeline, found {self.micros}",
                fix=f"use {-(-self.micros // self.devices) * self.devices} micro-batches",
            )

    def bound(self, device: int) -> int:
        """Return the most (stage, micro-batch) pairs in flight on a device."""
        everything = self.chunks * self.micros
        if self.micros == self.devices:
            return everything
        ahead = 2 * (self.devices - device - 1) + (self.chunks - 1) * self.devices + 1
        return min(ahead, everything)

    def turn(self, stage: int, micro: int, backward: bool) -> int:
        """Return the place of a task among all of its device: backwards and forwards in turn."""
        position, bound = (
            self.position(stage, micro, backward=backward),
            self.bound(stage % self.devices),
        )
        if backward:
            return bound + 2 * position
        return position if position < bound else 2 * position - bound + 1

    def _place(self, device: int, position: int, *, backward: bool) -> Place | None:
        inside = 0 <= position < self.chunks * self.micros
        return self.at(device, position, backward=backward) if inside else None

    def position(self, stage: int, micro: int, *, backward: bool = False) -> int:
        """Return the place of a task among the forwards (or backwards) of its device."""
        chunk = stage // self.devices
        chunk = self.chunks - 1 - chunk if backward else chunk
        group, within = divmod(micro, self.devices)
        return (group * self.chunks + chunk) * self.devices + within

    def at(self, device: int, position: int, *, backward: bool = False) -> Place:
        """Return the task at a position; the inverse of `position`."""
        rest, within = divmod(position, self.devices)
        group, chunk = divmod(rest, self.chunks)
        chunk = self.chunks - 1 - chunk if backward else chunk
        return chunk * self.devices + device, group * self.devices + within

    def needs(self, stage: int, micro: int) -> Place | None:
        """Return the backward that frees a place on the device for this forward."""
        device = stage % self.devices
        earlier = self.position(stage, micro) - self.bound(device)
        return self._place(device, earlier, backward=True)

    def opens(self, stage: int, micro: int) -> Place | None:
        """Return the forward that this backward makes room for, None after the last one."""
        device = stage % self.devices
        later = self.position(stage, micro, backward=True) + self.bound(device)
        return self._place(device, later, backward=False)

    def holds(self, stage: int, micro: int) -> Place | None:
        """Return the forward that comes right before this backward on the device."""
        device = stage % self.devices
        before = self.position(stage, micro, backward=True) + self.bound(device) - 1
        return self._place(device, before, backward=False)

    def frees(self, stage: int, micro: int) -> Place | None:
        """Return the backward that comes right after this forward on the device."""
        device = stage % self.devices
        after = self.position(stage, micro) - self.bound(device) + 1
        return self._place(device, after, backward=True)


def one_forward_one_backward(depth: int, micros: int) -> Depth:
    """Return the gate of 1F1B: stage s keeps at most min(depth - s, micros) micro-batches."""
    return Depth(tuple(min(depth - stage, micros) for stage in range(depth)))
