"""How fast bytes move between the host's memory and a device's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

from gristmill.train.workers.cuda_streams import CudaStreams
from gristmill.train.workers.late_streams import LateStreams
from gristmill.train.workers.streams import Mark, Streams

_BYTES = 64 << 20
_REPEATS = 5


def link_rates(streams: Streams, host: torch.Tensor) -> tuple[float, float]:
    """Return bytes a second up to a device and down from it, each way alone.

    Args:
        streams: of the device.
        host: the memory that they copy from and to, uint8[n].
    """
    own = streams.room(host.numel())
    up = _seconds(lambda: streams.up([(own, host)]))
    down = _seconds(lambda: streams.down([(host, own)], ()))
    return host.nbytes / up, host.nbytes / down


def measured_link(kind: str) -> tuple[float, float]:
    """Measure the link of the first device of a kind, with 64 MiB of the host's memory."""
    host = torch.empty(_BYTES, dtype=torch.uint8)
    if kind == "late":
        return link_rates(LateStreams(), host)
    streams = CudaStreams("cuda:0", host)
    rates = link_rates(streams, host)
    streams.close()
    return rates


def _seconds(copy: Callable[[], Mark]) -> float:
    copy().wait()  # the first one also makes pages
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        copy().wait()
        times.append(time.perf_counter() - start)
    return median(times)
