"""The way that `plan_memory` takes, against the one that looking at all ways whole would take."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import TrainError
from gristmill.train.costs.layer_cost import LayerCost
from gristmill.train.costs.memory_plan import _least_seconds, _rank, _Ways
from gristmill.train.costs.partition import partition
from gristmill.train.costs.tier_rates import TierRates

RATES = TierRates(1e9, 5e8, 1e-4, 2e9)


class Chain:
    """What a profile says of values between layers: each layer's go to the next one."""

    def crossing(self, rows: float) -> None:
        return None


@st.composite
def models(draw: st.DrawFn) -> list[LayerCost]:
    sizes = st.integers(1, 40).map(lambda size: size * 10**6)
    seconds = st.integers(1, 50).map(lambda size: size / 1000)
    return [
        LayerCost(
            name=str(number),
            forward_seconds=draw(seconds),
            backward_seconds=draw(seconds),
            update_seconds=draw(seconds),
            weight_bytes=draw(sizes),
            gradient_bytes=draw(sizes),
            state_bytes=draw(sizes),
            activation_bytes=draw(sizes),
            boundary_bytes=draw(sizes),
        )
        for number in range(draw(st.integers(1, 7)))
    ]


@settings(max_examples=60, deadline=None)
@given(models(), st.integers(60, 600), st.integers(1, 3))
def test_the_bounds_of_a_search_change_nothing(
    costs: list[LayerCost], megabytes: int, micros: int
) -> None:
    ways = _Ways(Chain(), costs, megabytes * 10**6, RATES, micros, 1.0, ["kept"])  # type: ignore[arg-type]
    whole = list(ways.options(lambda: inf))
    enough = _least_seconds(costs, micros) * 1.005
    good = ways.good(inf)
    assert good >= min((each.seconds for each in whole), default=inf)
    bounded = list(ways.options(lambda: max(good, enough)))
    assert bounded == [each for each in whole if each.seconds <= max(good, enough)]
    assert min(map(_rank, bounded), default=None) == min(map(_rank, whole), default=None)


def test_where_no_cut_is_found_soon_it_says_so() -> None:
    cost = LayerCost("one", 1.0, 1.0, 0.0, 10**6, 10**6, 10**6, 0, 0)
    with pytest.raises(TrainError, match="no cut was found soon"):
        partition([cost], 10, rates=RATES, exact=False)
