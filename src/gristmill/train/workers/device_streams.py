"""Which streams a device has, and what a process that computes on a GPU sets once."""

from __future__ import annotations

import os

from torch import Tensor

from gristmill.train.draws import exact_kernels
from gristmill.train.workers.cuda_streams import CudaStreams
from gristmill.train.workers.late_streams import LateStreams
from gristmill.train.workers.machine import Device
from gristmill.train.workers.streams import Streams

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def streams_of(device: Device, pool: Tensor) -> Streams:
    """Make this process, a worker, the one that computes on a device.

    It sees no other GPU, so what was captured or pickled for `cuda:0` runs on whichever it has.

    Args:
        device: with memory of its own.
        pool: memory of the host that is copied from and to, uint8[n].
    """
    if device.kind == "late":
        return LateStreams()
    seen = os.environ.get(_VISIBLE)
    os.environ[_VISIBLE] = seen.split(",")[device.index] if seen else str(device.index)
    exact_kernels()
    return CudaStreams("cuda:0", pool, device.memory_bytes)
