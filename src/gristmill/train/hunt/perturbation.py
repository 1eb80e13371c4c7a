"""How a member of a population varies the settings that it has copied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gristmill.core.seeds import derive_seed
from gristmill.train.space import Choice, Dimension, Integers, Numbers, Space

FACTORS = (0.8, 1.2)
"""Jaderberg et al. 2017, appendix A.1."""


def perturbed(
    drawn: Mapping[str, Any], space: Space, names: Collection[str], seed: int, *keys: int
) -> dict[str, Any]:
    """Return settings near `drawn`: each of `names` a fifth more or less, or a neighbour.

    Numbers are multiplied by 0.8 or 1.2 and kept within their interval; a choice, which has an
    order only if the user gave it one, moves to the value before or after. Names not listed stay:
    copied weights would not fit another architecture.

    Args:
        drawn: values as `Space.values` takes them (a choice by its position).
        space: what each may be.
        names: what may change.
        seed: of the draws.
        keys: what the draws are for, as the trial and the number of its copies.
    """
    return {
        name: _near(space.dimensions[name], value, derive_seed(seed, "explore", name, *keys) % 2)
        if name in names
        else value
        for name, value in drawn.items()
    }


def _near(dimension: Dimension, value: Any, up: int) -> Any:
    match dimension:
        case Numbers(low, high):
            return min(max(value * FACTORS[up], low), high)
        case Integers(low, high, step):
            moved = round((value * FACTORS[up] - low) / step)
            stuck = low + moved * step == value
            moved += (1 if up else -1) if stuck else 0
            return low + min(max(moved, 0), (high - low) // step) * step
        case Choice(values):
            return min(max(value + (1 if up else -1), 0), len(values) - 1)
