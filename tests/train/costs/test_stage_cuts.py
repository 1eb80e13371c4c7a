"""Cuts into stages of a pipeline, against every cut there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.costs.layer_cost import LayerCost
from gristmill.train.costs.partition import pipeline
from gristmill.train.costs.tier_rates import TierRates

FAST = TierRates(1e9, 1e9, 2e-9, 1e9)
small = st.integers(0, 20)


def stage_cost(
    costs: Sequence[LayerCost], first: int, last: int, held: int, micros: int, budget: int
) -> int | None:
    """Nanoseconds of a step in one stage, or None if it does not fit."""

    def total(figure: str, scale: float = 1) -> int:
        return sum(round(getattr(cost, figure) * scale) for cost in costs[first:last])

    arriving = costs[first - 1].boundary_bytes if first else 0
    leaving = costs[last - 1].boundary_bytes if last < len(costs) else 0
    memory = total("weight_bytes") + total("gradient_bytes") + total("state_bytes")
    memory += max(cost.workspace_bytes for cost in costs[first:last])
    memory += 2 * held * (arriving + leaving)
    activation = total("activation_bytes")
    micro = total("forward_seconds", 1e9) + total("backward_seconds", 1e9)
    micro += arriving + leaving + 4  # hops: 1 byte a nanosecond, and 2 ns for each of two tasks
    if memory + held * activation > budget:
        micro += total("forward_seconds", 1e9)
        if memory + activation > budget:
            return None
    return micros * micro + total("update_seconds", 1e9) + 2


def best_of_all(
    costs: Sequence[LayerCost], held: Sequence[int], micros: int, budget: int
) -> tuple[int, int] | None:
    found = []
    for inner in combinations(range(1, len(costs)), len(held) - 1):
        edges = (0, *inner, len(costs))
        times = [
            stage_cost(costs, first, last, count, micros, budget)
            for first, last, count in zip(edges[:-1], edges[1:], held, strict=True)
        ]
        if None not in times:
            cut = sum(costs[each - 1].boundary_bytes for each in inner)
            found.append((max(time for time in times if time is not None), cut))
    return min(found, default=None)


layers = st.builds(
    lambda forward, backward, update, *bytes_: LayerCost(
        "layer", forward * 1e-9, backward * 1e-9, update * 1e-9, *bytes_
    ),
    *(small for _ in range(9)),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(layers, min_size=1, max_size=7),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 500),
    st.sampled_from(["gpipe", "1f1b"]),
)
def test_pipeline_is_the_best_of_all_cuts(
    costs: list[LayerCost], stages: int, micros: int, budget: int, schedule: str
) -> None:
    stages = min(stages, len(costs))
    held = [micros if schedule == "gpipe" else min(micros, stages - each) for each in range(stages)]
    best = best_of_all(costs, held, micros, budget)
    try:
        found = pipeline(
            costs,
            budget,
            stages,
            rates=FAST,
            micro_batches=micros,
            schedule=schedule,  # type: ignore[arg-type]
        )
    except TrainError as error:
        assert best is None
        least = int(str(error.fix).split(" bytes")[0].split()[-1])
        assert best_of_all(costs, held, micros, least) is not None
        assert best_of_all(costs, held, micros, least - 1) is None
        return
    assert (round(found.longest_seconds * 1e9), found.cut_bytes) == best
    assert found.peak_bytes <= budget
    assert len(found.shards) == stages
    assert found.cuts[0] == 0
    assert found.cuts[-1] == len(costs)


def test_equal_layers_are_cut_evenly(layer: Callable[..., LayerCost], rates: TierRates) -> None:
    found = pipeline([layer()] * 8, 1_000, 4, rates=rates, micro_batches=5)
    assert found.cuts == (0, 2, 4, 6, 8)
    assert found.longest_seconds == 5 * 2 * 3.0
    assert found.seconds == 5 * 6.0 + 3 * 6.0  # the bubble: stages - 1 micro-batches


def test_a_tie_goes_to_the_cut_that_few_bytes_cross(
    layer: Callable[..., LayerCost], rates: TierRates
) -> None:
    costs = [
        layer(boundary_bytes=50),
        layer(forward_seconds=0.0, backward_seconds=0.0, boundary_bytes=5),
        layer(forward_seconds=0.0, backward_seconds=0.0, boundary_bytes=70),
        layer(),
    ]
    assert pipeline(costs, 1_000, 2, rates=rates).cuts == (0, 2, 4)


def test_bad_arguments(layer: Callable[..., LayerCost], rates: TierRates) -> None:
    with pytest.raises(UsageError, match="cannot cut 2 layers into 3 stages"):
        pipeline([layer(), layer()], 100, 3, rates=rates)
    with pytest.raises(TrainError) as caught:
        pipeline([layer("a"), layer("b", weight_bytes=300)], 299, 2, rates=rates)
    assert str(caught.value) == (
        "no cut into 2 stages fits a budget of 299 bytes a device; the largest layer is 'b', which "
        "alone takes 300 bytes: 300 of weights, 0 of gradients, 0 of optimiser state, 0 of "
        "activations and 0 of workspace\n"
        "  fix: give each device at least 300 bytes, or use more stages"
    )
