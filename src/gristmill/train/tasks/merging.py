"""Runs of consecutive shards as the stages of a pipeline."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

from gristmill.train.tasks.trial_shape import StageCost


def merge(shards: tuple[StageCost, ...]) -> StageCost:
    """Return the cost of running consecutive shards as one stage."""
    return StageCost(
        forward=sum(each.forward for each in shards),
        backward=sum(each.backward for each in shards),
        update=sum(each.update for each in shards),
        weight_bytes=sum(each.weight_bytes for each in shards),
        state_bytes=sum(each.state_bytes for each in shards),
        boundary_bytes=shards[-1].boundary_bytes,
        activation_bytes=sum(each.activation_bytes for each in shards),
        recomputed=all(each.recomputed for each in shards),
        norm=sum(each.norm for each in shards),
        reduce=sum(each.reduce for each in shards),
        shards=sum(each.shards for each in shards),
    )


@lru_cache(maxsize=4096)
def balanced(shards: tuple[StageCost, ...], stages: int) -> tuple[StageCost, ...]:
    """Merge shards into so many stages that the longest is as short as can be.

    Dynamic programming over cuts, O(stages x shards^2); seconds of one forward and backward count.

    Args:
        shards: in order; at least `stages`.
        stages: how many to make.
    """
    ends = (0.0, *accumulate(each.forward + each.backward for each in shards))
    count = len(shards)
    longest = list(ends[1:])  # of the best cut of the first i + 1 shards, so far into one stage
    cuts: list[list[int]] = []
    for stage in range(1, stages):
        row, cut = [float("inf")] * count, [0] * count
        for last in range(stage, count):
            for first in range(stage, last + 1):
                found = max(longest[first - 1], ends[last + 1] - ends[first])
                if found < row[last]:
                    row[last], cut[last] = found, first
        longest = row
        cuts.append(cut)
    return _cut(shards, cuts)


def _cut(shards: tuple[StageCost, ...], cuts: list[list[int]]) -> tuple[StageCost, ...]:
    found, end = [], len(shards)
    for cut in reversed(cuts):
        first = cut[end - 1]
        found.append(merge(shards[first:end]))
        end = first
    return (merge(shards[:end]), *reversed(found))
