"""The memory of devices that have one of their own: how much a run may use, how fast it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_bytes, parse_bytes
from gristmill.train.costs.tier_rates import TierRates
from gristmill.train.jobs.checking import check_budget
from gristmill.train.jobs.device_memory import room_bytes
from gristmill.train.workers.link_rates import measured_link
from gristmill.train.workers.machine import Device

if TYPE_CHECKING:
    from gristmill.train.jobs.planning import Prepared

_SHARE = 0.9
"""Of a device's memory, where no budget is given: a program beside it needs some. And of a budget,
for what is planned: libraries take workspaces, and the allocator leaves holes."""
_SLACK = 1.25
"""Room for copies of records over their bytes: a room with holes holds less."""


@dataclass(frozen=True, slots=True)
class DeviceTier:
    """The tier above the host's memory.

    Attributes:
        pilot: the device that models are looked at on, as torch calls it.
        cap: bytes that a run may allocate on each device.
        host_memory: bytes for records on the host, of all devices together.
        up, down: bytes a second between the two.
    """

    pilot: str
    cap: int
    host_memory: int
    up: float
    down: float

    @property
    def budget(self) -> int:
        """Bytes of each device that models are planned for."""
        return int(self.cap * _SHARE)

    def rates(self, disk: TierRates, nbytes: int) -> TierRates:
        """Return how fast a device's records move, of models of so many bytes.

        What the host's memory does not hold comes through it from the disk.
        """
        above = msgspec.structs.replace(
            disk, read_bytes_per_second=self.up, write_bytes_per_second=self.down
        )
        return above if nbytes <= self.host_memory else disk

    def host_bytes(self, prepared: Sequence[Prepared], devices: int) -> int:
        """Return the bytes of the pool: all records if they fit, of two tasks at least."""
        least = 2 * devices * max(map(_largest_task, prepared))
        wanted = int(_SLACK * sum(each.record_bytes for each in prepared))
        return max(least, min(wanted, self.host_memory))

    def room(self, prepared: Sequence[Prepared]) -> int:
        """Return the bytes of a device for copies of records: what everything else leaves."""
        private = max(each.memory.private_bytes for each in prepared)
        wanted = sum(map(_all_records, prepared))
        return max(
            max(map(_largest_task, prepared)), min(int(_SLACK * wanted), self.budget - private)
        )

    def given(self, devices: Sequence[Device], prepared: Sequence[Prepared]) -> list[Device]:
        """Return the devices with their room for records and their cap."""
        room = self.room(prepared)
        return [
            msgspec.structs.replace(each, memory_bytes=self.cap, record_bytes=room)
            for each in devices
        ]

    def __str__(self) -> str:
        return (
            f"{format_bytes(self.cap)} of its own, {format_bytes(self.host_memory)} on the host, "
            f"copied at {format_bytes(self.up)}/s and back at {format_bytes(self.down)}/s"
        )


def device_tier(
    devices: Sequence[Device],
    device_memory: str | int | None,
    host_memory: int,
    link: tuple[float, float] | None = None,
) -> DeviceTier | None:
    """Return the tier of GPUs or nodes; None for devices that compute in the host's memory.

    Args:
        devices: of one kind.
        device_memory: budget of each, as "16GB"; None for most of what it has.
        host_memory: bytes for records on the host.
        link: bytes a second to the devices and back; None to measure them.

    Raises:
        UsageError: a budget that makes no sense, or for devices that have no memory of their own.
    """
    if devices[0].kind == "cpu":
        if device_memory is not None:
            raise UsageError(
                "device_memory is of GPUs and nodes; these devices compute in the host's memory",
                fix="give the budget as memory=...",
            )
        return None
    has = min(each.memory_bytes for each in devices)
    cap = int(has * _SHARE)
    if device_memory is not None:
        check_budget(device_memory)
        cap = parse_bytes(device_memory)
    if cap > has:
        raise UsageError(
            f"expected device_memory of at most {format_bytes(has)}, found {format_bytes(cap)}"
        )
    kind = devices[0].kind
    # Workers see one GPU each, as number 0; so a model is captured for that, wherever it will run.
    pilot = "cuda:0" if kind == "cuda" else "cpu"
    up, down = measured_link(kind) if link is None else link
    return DeviceTier(pilot, cap, host_memory, up, down)


def _largest_task(prepared: Prepared) -> int:
    """Return the most bytes that the copies of one task's records take."""
    shape, shards = prepared.shape, prepared.plan.shards
    if shape.depth == 1:
        return _all_records(prepared)
    firsts = [*shape.first_shards, len(shards)]
    return max(
        sum(room_bytes(list(shard.layouts.values())) for shard in shards[first:last])
        for first, last in pairwise(firsts)
    )


def _all_records(prepared: Prepared) -> int:
    return sum(room_bytes(list(each.layouts.values())) for each in prepared.plan.shards)
