"""Candidates for the weight of weak rows, compared with gold alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from gristmill.core.intervals import Interval
from gristmill.train.weak.sparse_rows import Floats
from gristmill.train.weak.weighing_folds import Candidate, HeldOut

Round: TypeAlias = Mapping[Candidate, HeldOut]

_LEVEL = 0.95
_LEVEL_WITHIN = 0.5
"""Standard errors; a whole one gives up too much where gold rows are few and errors wide."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A candidate at the penalty that suits it, beside gold alone in the same rounds.

    Attributes:
        candidate: the candidate.
        log_loss: mean over gold rows held out.
        accuracy: share of them that it gets right.
        gain: mean log-loss of gold alone minus its own.
        error: standard error of `gain` over rows.
        gain_in_accuracy: its accuracy minus that of gold alone.
        rounds: rounds of cross-validation that it had.
        losses: float64[g], the log-loss on each gold row.
    """

    candidate: Candidate
    log_loss: float
    accuracy: float
    gain: float
    error: float
    gain_in_accuracy: float
    rounds: int
    losses: Floats

    @property
    def interval(self) -> Interval:
        """The gain with its normal 95 % interval."""
        half = NormalDist().inv_cdf(0.5 + _LEVEL / 2) * self.error
        return Interval(self.gain, self.gain - half, self.gain + half, _LEVEL)

    @property
    def helps(self) -> bool:
        """Whether it beats gold alone beyond one standard error, and not at accuracy's cost."""
        return self.gain > self.error and self.gain_in_accuracy >= 0

    def as_row(self, *, chosen: bool) -> dict[str, object]:
        """Return it as a row of `Weighing.scores`."""
        return {
            "weight": self.candidate.weight,
            "targets": self.candidate.targets,
            "rows": self.candidate.rows,
            "l2": self.candidate.l2,
            "log_loss": self.log_loss,
            "accuracy": self.accuracy,
            "gain": self.gain,
            "low": self.interval.low,
            "high": self.interval.high,
            "rounds": self.rounds,
            "chosen": chosen,
        }


def finalists(first: Round) -> list[Candidate]:
    """Return the candidates worth more rounds: gold alone, and those on a level with the best."""
    alone = [each for each in first if each.weight == 0]
    mixed = [each for each in compare([first]) if each.candidate.weight > 0]
    best = max(mixed, key=lambda each: each.gain)
    return alone + [each.candidate for each in mixed if level(each, best)]


def level(one: Standing, best: Standing, errors: float = 1.0) -> bool:
    """Say whether one loses no more to the best, row by row, than so many standard errors."""
    behind = one.losses - best.losses
    error = float(behind.std(ddof=1)) / math.sqrt(len(behind))
    return float(behind.mean()) <= errors * error


def compare(rounds: Sequence[Round]) -> list[Standing]:
    """Return gold alone, then the others by weight, each at its best penalty."""
    leaders = _leaders(rounds)
    alone = next(each for each in leaders if each.weight == 0)
    standings = [_beside(alone, each, rounds) for each in leaders]
    return sorted(standings, key=lambda each: (each.candidate.weight, each.candidate))


def decide(standings: Sequence[Standing]) -> Standing:
    """Return gold alone, or of those that help the best, at the least weight on a level with it.

    Only those that had all rounds are asked. Other targets or rows are no lighter version of the
    best: hard targets at a tenth of the weight can do far more harm.
    """
    most = max(each.rounds for each in standings)
    helping = [each for each in standings if each.helps and each.rounds == most]
    if not helping:
        return standings[0]
    best = max(helping, key=lambda each: each.gain)
    kind = (best.candidate.targets, best.candidate.rows)
    near = [
        each
        for each in helping
        if (each.candidate.targets, each.candidate.rows) == kind
        and level(each, best, _LEVEL_WITHIN)
    ]
    return min(near, key=lambda each: each.candidate.weight)


def explain(best: Standing, standings: Sequence[Standing], gold: int) -> str:
    """Say in a sentence why one was chosen."""
    alone, *others = standings
    if best is not alone:
        return (
            f"beats gold alone on {gold} gold rows held out: log-loss {best.log_loss:.4f} against "
            f"{alone.log_loss:.4f} (gain {best.interval}), accuracy {best.accuracy:.3f} "
            f"against {alone.accuracy:.3f}"
        )
    near = max(others, key=lambda each: each.gain)
    return (
        f"gold alone: no weight helps on {gold} gold rows held out beyond one standard error; "
        f"{near.candidate.weight:g} comes nearest, with a gain of {near.interval} in log-loss "
        f"and {near.gain_in_accuracy:+.3f} in accuracy"
    )


def _leaders(rounds: Sequence[Round]) -> list[Candidate]:
    """Return each candidate at its best penalty; one with more rounds goes first."""
    groups: dict[tuple[str, str, float], list[Candidate]] = {}
    for each in rounds[0]:
        groups.setdefault((each.targets, each.rows, each.weight), []).append(each)

    def rank(each: Candidate) -> tuple[int, float]:
        return -sum(each in found for found in rounds), _log_loss(rounds, each)

    return [min(group, key=rank) for group in groups.values()]


def _log_loss(rounds: Sequence[Round], candidate: Candidate) -> float:
    return float(np.mean([found[candidate].losses for found in rounds if candidate in found]))


def _beside(alone: Candidate, candidate: Candidate, rounds: Sequence[Round]) -> Standing:
    """Compare row by row; a row's mean over rounds first, since the rounds share their rows."""
    shared = [found for found in rounds if candidate in found]
    losses = np.mean([found[candidate].losses for found in shared], axis=0)
    right = np.mean([found[candidate].right for found in shared], axis=0)
    gain = np.mean([found[alone].losses for found in shared], axis=0) - losses
    right_alone = np.mean([found[alone].right for found in shared], axis=0)
    return Standing(
        candidate,
        float(losses.mean()),
        float(right.mean()),
        float(gain.mean()),
        float(gain.std(ddof=1) / math.sqrt(len(gain))),
        float((right - right_alone).mean()),
        len(shared),
        losses,
    )
