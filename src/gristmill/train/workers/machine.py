"""What devices there are, and which of them a user asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.memory import memory_limit
from gristmill.train.workers.cores import usable_cores

_FIX = 'use devices="auto", a number such as 2, "cpu", "cpu:2", "cuda" or "cuda:0,1"'
_CPU = re.compile(r"cpu(?::([0-9]{1,4}))?", re.ASCII)
_CUDA = re.compile(r"cuda(?::([0-9]{1,3}(?:,[0-9]{1,3})*))?", re.ASCII)


class Device(msgspec.Struct, frozen=True):
    """One place to compute: a worker process works for it.

    Attributes:
        kind: `cpu`, `cuda`, `node`: on another machine, or `late`: a stand-in for tests that nobody
            can ask for.
        index: number among the devices of the kind; the GPU's for `cuda`.
        threads: threads of torch.
        cores: processors that the worker is pinned to; empty: it may run on any.
        memory_bytes: of the GPU, or as much of it as may be used; for a CPU, of the whole machine
            or container.
        record_bytes: of the device's own memory, for copies of records; 0 where the device computes
            with them where they lie on the host.
    """

    kind: str
    index: int
    threads: int = 1
    cores: tuple[int, ...] = ()
    memory_bytes: int = 0
    record_bytes: int = 0

    @property
    def name(self) -> str:
        """As `cpu:0` or `cuda:1`."""
        return f"{self.kind}:{self.index}"

    @property
    def here(self) -> Device:
        """What the worker of this machine is to know of it.

        What a node needs goes with each task: nothing is lifted to it before.
        """
        return msgspec.structs.replace(self, record_bytes=0) if self.kind == "node" else self


def find_devices(devices: str | int = "auto", *, threads: int = 1) -> tuple[Device, ...]:
    """Return the devices that are asked for.

    Args:
        devices: `auto`: all GPUs, or where there is none, all cores; a number: so many of these;
            `cpu` or `cpu:2`: all cores, or 2 workers (more than cores: they share them);
            `cuda` or `cuda:0,1`: all GPUs, or those with these numbers.
        threads: cores of each CPU worker, and threads of torch in it.

    Raises:
        UsageError: it is none of these, or the machine does not have them.
    """
    if threads < 1:
        raise UsageError(f"expected at least 1 thread, found {threads}")
    if isinstance(devices, bool) or not isinstance(devices, str | int):
        raise _unknown(devices)
    if devices == "auto":
        return _gpus() or _workers(None, threads)
    if isinstance(devices, int) or devices.isdecimal():
        return _first(int(devices), threads)
    if match := _CPU.fullmatch(devices):
        return _workers(int(match[1]) if match[1] else None, threads)
    if match := _CUDA.fullmatch(devices):
        return _chosen([int(one) for one in match[1].split(",")] if match[1] else None)
    raise _unknown(devices)


def _first(count: int, threads: int) -> tuple[Device, ...]:
    gpus = _gpus()
    if not gpus:
        return _workers(count, threads)
    if not 1 <= count <= len(gpus):
        raise UsageError(f"expected 1 to {len(gpus)} GPUs, found devices={count}", fix=_FIX)
    return gpus[:count]


def _workers(count: int | None, threads: int) -> tuple[Device, ...]:
    """Return CPU devices: pinned if each has cores of its own, else sharing all cores."""
    cores = usable_cores()
    if count is None:
        count = max(1, len(cores) // threads)
    if count < 1:
        raise UsageError(f"expected at least 1 device, found {count}", fix=_FIX)
    memory = memory_limit()
    pinned = count * threads <= len(cores)
    return tuple(
        Device(
            "cpu",
            index,
            threads,
            cores[index * threads : (index + 1) * threads] if pinned else (),
            memory,
        )
        for index in range(count)
    )


def _chosen(numbers: Sequence[int] | None) -> tuple[Device, ...]:
    gpus = _gpus()
    if not gpus:
        raise UsageError(
            "expected a CUDA GPU, found none that torch can use",
            fix='install a build of torch with CUDA, or use devices="cpu"',
        )
    if numbers is None:
        return gpus
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"expected each GPU once, found {_listed(numbers)}", fix=_FIX)
    missing = [number for number in numbers if number >= len(gpus)]
    if missing:
        raise UsageError(
            f"expected GPUs 0 to {len(gpus) - 1}, found {_listed(missing)}",
            fix=_FIX,
        )
    return tuple(gpus[number] for number in numbers)


def _gpus() -> tuple[Device, ...]:
    import torch

    if not torch.cuda.is_available():
        return ()
    return tuple(
        Device("cuda", index, memory_bytes=torch.cuda.get_device_properties(index).total_memory)
        for index in range(torch.cuda.device_count())
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _unknown(devices: object) -> UsageError:
    return UsageError(f"unknown devices {devices!r}", fix=_FIX)
