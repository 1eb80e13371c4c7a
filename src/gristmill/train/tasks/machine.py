"""The devices, memory and links that a simulation is told of."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import UsageError

UNLIMITED = float("inf")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Devices and what moving bytes between them and the tier below costs.

    Attributes:
        speeds: of the devices; 2 runs a task in half its seconds.
        dispatch_seconds: what handing over a task costs its device, each time.
        hop_seconds, hop_bytes_per_second: what it costs a device to read a boundary value that
            another device made.
        memory_bytes: room for records of spilled trials: of each device, or of all where `shared`.
        read_bytes_per_second, write_bytes_per_second: of the link to the tier below.
        shared: one memory and one link serve all devices (CPU workers, one disk); otherwise each
            device has its own (GPUs, PCIe).
        duplex: the link reads and writes at once; otherwise one after the other.
        contention: how many times longer a task takes while all other devices are busy; between
            that and 1 in proportion to the number that are.

    Raises:
        UsageError: no devices, or a figure that is not above 0.
    """

    speeds: tuple[float, ...]
    dispatch_seconds: float = 0.0
    hop_seconds: float = 0.0
    hop_bytes_per_second: float = UNLIMITED
    memory_bytes: float = UNLIMITED
    read_bytes_per_second: float = UNLIMITED
    write_bytes_per_second: float = UNLIMITED
    shared: bool = False
    duplex: bool = True
    contention: float = 1.0

    def __post_init__(self) -> None:
        rates = (self.hop_bytes_per_second, self.read_bytes_per_second, self.write_bytes_per_second)
        if not self.speeds or min(*self.speeds, *rates, self.memory_bytes) <= 0:
            raise UsageError(f"expected devices, and speeds and rates above 0, found {self}")
        if min(self.dispatch_seconds, self.hop_seconds) < 0 or self.contention < 1:
            raise UsageError(
                "expected dispatch_seconds and hop_seconds of 0 or more and contention of 1 or "
                f"more, found {self.dispatch_seconds}, {self.hop_seconds} and {self.contention}"
            )

    @classmethod
    def of(cls, devices: int) -> Machine:
        """Return devices of speed 1 for which moving anything costs nothing."""
        return cls(speeds=(1.0,) * devices)
