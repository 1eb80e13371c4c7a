"""Settings of new trials, drawn by Optuna's samplers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import optuna
from optuna.samplers import BaseSampler, GridSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from gristmill.core.errors import UsageError
from gristmill.core.seeds import derive_seed
from gristmill.train.hunt.ledger import Trial
from gristmill.train.sampling import SAMPLERS, quiet_study
from gristmill.train.space import Choice, Integers, Space

SamplerFactory: TypeAlias = Callable[[int], BaseSampler]
"""Takes a seed and returns one of Optuna's samplers; its draws may depend on nothing but that seed,
the number of the trial and the trials before it."""

NAMES = ("tpe", "random", "grid")


class Sampler:
    """Draws the settings of trial n, once the trials before it have begun.

    A draw is a function of the seed, n and what is known of the trials before n, not of the order
    in which that became known: the sampler is made anew for each. `random` and `grid` use the
    number alone, so that a search on many devices draws what a search on one draws. `tpe` (and most
    of a user's own) learn from results, of paused trials too, and so from which of them are in.

    Args:
        space: what may vary.
        chosen: `tpe`, `random`, `grid` (every combination once, in a random order), or a function
            that takes a seed and returns an Optuna sampler.
        seed: of all draws.
        maximise: whether a larger value is better.

    Raises:
        UsageError: the name is unknown, or the space has no grid.
    """

    def __init__(
        self, space: Space, chosen: str | SamplerFactory, seed: int, *, maximise: bool
    ) -> None:
        self.space, self.seed, self.maximise = space, seed, maximise
        self.name = chosen if isinstance(chosen, str) else chosen.__qualname__
        self._grid = _grid(space) if chosen == "grid" else None
        self._make = _maker(chosen)

    def check(self, trials: int) -> None:
        """Check that there are enough different settings for so many trials.

        Raises:
            UsageError: a grid has fewer.
        """
        size = math.prod(map(len, self._grid.values())) if self._grid is not None else trials
        if trials > size:
            raise UsageError(
                f"the grid has {size} combinations, found {trials} trials",
                fix=f"take {size} trials at most, or sampler='random'",
            )

    def draw(self, number: int, known: Sequence[Trial]) -> dict[str, Any]:
        """Return settings for trial `number`, as `Space.values` takes them.

        Args:
            number: of the trial.
            known: all trials before it, in order.
        """
        if not self.space.dimensions:
            return {}
        study = quiet_study(None, maximise=self.maximise)
        study.sampler = self._sampler(number)
        if self.name != "random":
            study.add_trials([self._frozen(trial) for trial in known[:number]])
        return dict(study.ask(self.space.distributions()).params)

    def _sampler(self, number: int) -> BaseSampler:
        if self._grid is not None:
            # Its seed shuffles the grid: one for all trials, so that each gets a place of its own.
            return GridSampler(self._grid, seed=derive_seed(self.seed, "grid") % 2**32)
        return self._make(derive_seed(self.seed, "sampler", number) % 2**32)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        """Return a trial as Optuna knows it; one that has paused or stopped is `pruned` to it, for
        samplers learn from those too.
        """
        curve, state = trial.curve, _state(trial)
        finished = state in (TrialState.COMPLETE, TrialState.PRUNED)
        best = (max if self.maximise else min)(curve.values()) if curve else None
        return optuna.create_trial(
            state=state,
            params=trial.drawn,
            distributions=self.space.distributions(),
            value=(best if state == TrialState.COMPLETE else curve[trial.budget])
            if finished
            else None,
            intermediate_values=curve,
        )


def _maker(chosen: str | SamplerFactory) -> SamplerFactory:
    if not isinstance(chosen, str):
        return chosen
    if chosen not in NAMES:
        raise UsageError(f"unknown sampler {chosen!r}, expected one of {NAMES}")
    return SAMPLERS.get(chosen, RandomSampler)


def _state(trial: Trial) -> TrialState:
    if trial.state == "complete":
        return TrialState.COMPLETE
    if trial.state == "failed":
        return TrialState.FAIL
    return TrialState.PRUNED if trial.curve else TrialState.RUNNING


def _grid(space: Space) -> dict[str, Sequence[Any]]:
    return {name: _points(name, each) for name, each in space.dimensions.items()}


def _points(name: str, dimension: object) -> Sequence[Any]:
    match dimension:
        case Choice(values):
            return range(len(values))
        case Integers(low, high, step):
            return range(low, high + 1, step)
    raise UsageError(
        f"a grid cannot have every number of {name!r}",
        fix=f"give {name} as a list of values, or take another sampler",
    )
