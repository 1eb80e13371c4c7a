"""Search spaces, declared as data; Optuna loads when a search runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class Numbers(msgspec.Struct, frozen=True):
    """An interval of floats, both ends included; `log` draws evenly by order of magnitude."""

    low: float
    high: float
    log: bool = False


class Integers(msgspec.Struct, frozen=True):
    """Whole numbers from `low` to `high`, both included, `step` apart."""

    low: int
    high: int
    step: int = 1
    log: bool = False


class Choice(msgspec.Struct, frozen=True):
    """One of several values of any kind, without an order."""

    values: tuple[Any, ...]


Dimension: TypeAlias = Numbers | Integers | Choice


def uniform(low: float, high: float) -> Numbers:
    """Return the floats from `low` to `high`, all equally likely.

    Raises:
        UsageError: the interval is empty or not finite.
    """
    return Numbers(*_interval(low, high))


def log_uniform(low: float, high: float) -> Numbers:
    """Return the floats from `low` to `high`, every order of magnitude equally likely.

    Raises:
        UsageError: the interval is empty or not finite, or does not lie above 0.
    """
    return Numbers(*_interval(low, high, above_zero=True), log=True)


def integers(low: int, high: int, *, step: int = 1, log: bool = False) -> Integers:
    """Return the whole numbers from `low` to `high`, both included.

    Args:
        low, high: the first and the last.
        step: from one to the next.
        log: every order of magnitude is equally likely, not every number.

    Raises:
        UsageError: the range is empty, `step` is below 1, or `log` comes with a step or with
            numbers below 1.
    """
    _interval(low, high, above_zero=log)
    if step < 1 or (log and step != 1):
        raise UsageError(f"expected a step of 1 or more (1 with log), found {step}")
    return Integers(low, high, step, log)


class Space:
    """Names with what each may be: `Space(lr=log_uniform(1e-5, 1e-2), width=[256, 512])`.

    A list or tuple is a choice among its values; any other plain value is fixed.

    Raises:
        UsageError: a list is empty.
    """

    def __init__(self, **dimensions: object) -> None:
        self.dimensions: dict[str, Dimension] = {
            name: _dimension(name, value) for name, value in dimensions.items()
        }

    def __fingerprint__(self) -> str:
        from gristmill.core.fingerprint import fingerprint

        return fingerprint(self.dimensions)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={_show(each)}" for name, each in self.dimensions.items())
        return f"Space({inside})"

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the Optuna distribution of each name; choices by their position."""
        return {name: _distribution(each) for name, each in self.dimensions.items()}

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that Optuna's parameters stand for (a choice is kept as a position)."""
        return {
            name: each.values[drawn[name]] if isinstance(each, Choice) else drawn[name]
            for name, each in self.dimensions.items()
        }


def _dimension(name: str, value: object) -> Dimension:
    if isinstance(value, Numbers | Integers | Choice):
        return value
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values:
        raise UsageError(f"{name!r} has no values to choose from")
    return Choice(tuple(tuple(each) if isinstance(each, list) else each for each in values))


def _interval(low: float, high: float, *, above_zero: bool = False) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UsageError(f"expected low <= high, both finite, found {low!r} and {high!r}")
    if above_zero and low <= 0:
        raise UsageError(f"orders of magnitude need numbers above 0, found {low!r}")
    return low, high


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case Numbers(low, high, log):
            return FloatDistribution(low, high, log=log)
        case Integers(low, high, step, log):
            return IntDistribution(low, high, log=log, step=step)
        case Choice(values):
            return CategoricalDistribution(tuple(range(len(values))))


def _show(dimension: Dimension) -> str:
    match dimension:
        case Numbers(low, high, log):
            return f"{'log_' if log else ''}uniform({low:g}, {high:g})"
        case Integers(low, high, step, log):
            return f"integers({low}, {high}{f', step={step}' * (step != 1)}{', log=True' * log})"
        case Choice(values):
            return repr(values[0]) if len(values) == 1 else repr(list(values))
