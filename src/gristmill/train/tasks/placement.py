"""Which device holds which stage of a pipelined trial."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from gristmill.train.tasks.trial_shape import TrialShape

_AS_GOOD = 1.05
"""Times the seconds of the best balance that stages in turn may need: they idle less."""


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


def in_turn_or_least_loaded(
    shape: TrialShape, loads: Mapping[int, float], speeds: Mapping[int, float], steps: int
) -> list[int]:
    """Place a trial: in turn where it has more stages than there are devices, if that balances.

    With several stages on each device the order counts, not only the balance: stages in turn let a
    micro-batch visit all devices before it is back at the first (Narayanan et al. 2021, section
    2.2), while one that leaves a device out lets it wait.

    Args: as for `least_loaded`.
    """
    balanced = least_loaded(shape, loads, speeds, steps)
    if shape.depth <= len(loads):
        return balanced
    work = [seconds * steps for seconds in lane_seconds(shape)]

    def longest(chosen: Sequence[int]) -> float:
        ends = dict(loads)
        for device, seconds in zip(chosen, work, strict=True):
            ends[device] += seconds
        return max(seconds / speeds[device] for device, seconds in ends.items())

    in_turn = round_robin(shape, sorted(loads, key=lambda device: loads[device] / speeds[device]))
    return in_turn if longest(in_turn) <= _AS_GOOD * longest(balanced) else balanced


def round_robin(shape: TrialShape, devices: Sequence[int]) -> list[int]:
    """Give lane i to device i modulo their number: the placement that pipeline papers use."""
    lanes = shape.depth * shape.replicas
    return [devices[lane % len(devices)] for lane in range(lanes)]
