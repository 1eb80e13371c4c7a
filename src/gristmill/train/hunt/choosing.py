"""Controllers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from optuna.pruners import BasePruner

from gristmill.core.errors import UsageError
from gristmill.train.hunt.asha import Asha
from gristmill.train.hunt.controller import Controller
from gristmill.train.hunt.halving import halving, hyperband
from gristmill.train.hunt.population import Population
from gristmill.train.hunt.pruned import Pruned
from gristmill.train.sampling import PRUNERS

Rules: TypeAlias = Callable[[int], Controller]
"""Makes the controller for a number of trials."""

NAMES = (None, "median", "halving", "asha", "hyperband", "population")


def rules_of(
    pruner: str | BasePruner | None,
    most: int,
    *,
    seed: int = 0,
    least: int = 1,
    eta: int | None = None,
    every: int = 1,
) -> Rules:
    """Return the maker of the controller that a pruner's name stands for.

    Args:
        pruner: None (every trial in full), `median` (stop what is below the median of the others),
            `halving` (successive halving: all trials of a rung reach it, the best go on), `asha`
            (halving that waits for nobody), `hyperband` (halving from several least budgets),
            `population` (the weak copy the strong), or one of Optuna's pruners, which stop trials
            but never pause them.
        most: budget of full training.
        seed: of what a controller draws.
        least: budget of the lowest rung at least.
        eta: one in so many goes on from a rung; by default 4 (asha, halving), 3 (hyperband).
        every: budget of a generation of a population.

    Raises:
        UsageError: an unknown name, or a budget below 1. What else makes no sense is refused when
            the controller is made.
    """
    if most < 1:
        raise UsageError(f"expected a budget of at least 1, found {most}")
    if isinstance(pruner, BasePruner) or pruner is None:
        return partial(Pruned, most=most, pruner=pruner)
    rung: dict[str, int] = {"least": least} | ({} if eta is None else {"eta": eta})
    match pruner:
        case "median":
            return partial(Pruned, most=most, pruner=PRUNERS["median"]())
        case "halving":
            return partial(halving, most=most, **rung)
        case "asha":
            return partial(Asha, most=most, **rung)
        case "hyperband":
            return partial(hyperband, most=most, **rung)
        case "population":
            return partial(Population, most=most, every=every, seed=seed)
    raise UsageError(f"unknown pruner {pruner!r}, expected one of {NAMES}")
