"""Sums of losses that fade with their age, whatever the order in which the losses arrive.

An outcome of date t counts 2^-((T - t) / half_life) at date T. A loss that is told 10,000 requests
late therefore counts as little as if it had been told at once, and two workers' sums add up to what
one worker would have. (The discount of Garivier and Moulines 2011, section 2, by date and not by
arrival.)
"""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.serve.selection.policy import PolicyState


def nothing(arms: int) -> PolicyState:
    """Return sums over no outcome."""
    return PolicyState(0.0, (0.0,) * arms, (0.0,) * arms)


def fading(age: float, half_life: float) -> float:
    """Return what evidence of an age counts, in [0, 1]; of a negative age it counts in full."""
    return 1.0 if age <= 0.0 else float(2.0 ** -(age / half_life))


def add(
    state: PolicyState,
    at: float,
    weights: Sequence[float],
    losses: Sequence[float],
    half_life: float,
) -> PolicyState:
    """Return the sums with an outcome of date `at`: its weight and its loss, arm by arm."""
    older, newer = fading(at - state.at, half_life), fading(state.at - at, half_life)
    return PolicyState(
        max(at, state.at),
        _sum(state.weight, older, weights, newer),
        _sum(state.loss, older, losses, newer),
    )


def merge(one: PolicyState, other: PolicyState, half_life: float) -> PolicyState:
    """Return the sums over the outcomes of both."""
    return add(one, other.at, other.weight, other.loss, half_life)


def apart(state: PolicyState, arms: int) -> tuple[PolicyState, PolicyState]:
    """Return the two halves of sums that were put together: of `arms` arms, and of the rest."""
    return (
        PolicyState(state.at, state.weight[:arms], state.loss[:arms]),
        PolicyState(state.at, state.weight[arms:], state.loss[arms:]),
    )


def together(first: PolicyState, second: PolicyState) -> PolicyState:
    """Return two sums over the same outcomes as one state."""
    return PolicyState(first.at, first.weight + second.weight, first.loss + second.loss)


def only(arm: int, arms: int, value: float) -> tuple[float, ...]:
    """Return zeros with `value` at one position."""
    return tuple(value if position == arm else 0.0 for position in range(arms))


def _sum(
    first: Sequence[float], by: float, second: Sequence[float], times: float
) -> tuple[float, ...]:
    return tuple(a * by + b * times for a, b in zip(first, second, strict=True))
