"""Costs of made-up layers, and rates that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gristmill.train.costs.layer_cost import LayerCost
from gristmill.train.costs.tier_rates import TierRates


@pytest.fixture
def rates() -> TierRates:
    """A disk of 1 GB/s each way, hops of no time."""
    return TierRates(1e9, 1e9, 0.0, 1e18)


@pytest.fixture
def layer() -> Callable[..., LayerCost]:
    """Make a layer of 100 B of weights that takes 3 s, forward and backward, and no more."""

    def make(name: str = "layer", **changed: float) -> LayerCost:
        figures: dict[str, float] = {
            "forward_seconds": 1.0,
            "backward_seconds": 2.0,
            "update_seconds": 0.0,
            "weight_bytes": 100,
            "gradient_bytes": 0,
            "state_bytes": 0,
            "activation_bytes": 0,
            "boundary_bytes": 0,
        }
        return LayerCost(name=name, **{**figures, **changed})  # type: ignore[arg-type]

    return make
