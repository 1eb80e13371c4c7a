"""Which device holds which stage of a pipelined trial."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from gristmill.train.tasks.trial_shape import TrialShape


def lane_seconds(shape: TrialShape) -> list[float]:
    """Return the seconds of one step's work of each lane: of each stage, replica by replica."""
    passes = [shape.share * (each.forward + each.backward) for each in shape.stages]
    whole = [seconds + tail for seconds, tail in zip(passes, shape.tail, strict=True)]
    return whole * shape.replicas


def least_loaded(
    shape: TrialShape, loads: Mapping[int, float], speeds: Mapping[int, float], steps: int
) -> list[int]:
    """Give each lane to the device that would be done first (Graham 1969: longest first).

    Args:
        shape: the trial's layout.
        loads: seconds of work that each device has been given, by number.
        speeds: of the devices, by number.
        steps: steps the work is for.

    Returns:
        The number of the device of each lane.
    """
    work = [seconds * steps for seconds in lane_seconds(shape)]
    heap = [(load / speeds[device], -speeds[device], device) for device, load in loads.items()]
    heapq.heapify(heap)
    chosen = [0] * len(work)
    for lane in sorted(range(len(work)), key=lambda lane: -work[lane]):
        load, slowness, device = heap[0]
        chosen[lane] = device
        heapq.heapreplace(heap, (load + work[lane] / -slowness, slowness, device))
    return chosen


def round_robin(shape: TrialShape, devices: Sequence[int]) -> list[int]:
    """Give lane i to device i modulo their number: the placement that pipeline papers use."""
    lanes = shape.depth * shape.replicas
    return [devices[lane % len(devices)] for lane in range(lanes)]
