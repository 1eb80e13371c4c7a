"""What a policy would have lost, from a log of what another policy chose.

An outcome that was chosen with probability q and would have been with p counts p / q times (inverse
propensity; Horvitz and Thompson 1952). Self-normalised, the weights are divided by their mean
(Hájek 1971; Swaminathan and Joachims 2015), and doubly robust they only correct a model of losses
(Dudík, Langford and Li 2011). Where the losses of all arms are known, what the policy would have
lost on average counts, once.

A policy that learns is told each outcome p / q times on average, a whole number of times (p as it
would have been then): so it knows of each arm as much as if it had chosen itself, in as many
predictions. A sample of the log that is as if it had chosen itself (rejection sampling: Li et al.
2011) would be smaller by the greatest p / q, and a policy that hears so much less learns later, and
forgets later, than it would have. Where the log has the losses of all arms of a row (shadows), the
policy's own choice is played on them.

Whenever it chooses, it knows no more than the feedback that had come by then; and what it overhears
of answers that differ, where the log's policy overheard them, too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.intervals import Interval
from gristmill.core.seeds import derive_seed
from gristmill.serve.selection.learner import Learner
from gristmill.serve.selection.logged_outcomes import LoggedOutcome
from gristmill.serve.selection.policy import Outcome, Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ENOUGH = 100.0
_GREATEST_SHARE = 0.1
_MISSING_MASS = 0.02
_STEADY = 4.0


class Evaluation(msgspec.Struct, frozen=True):
    """What a policy would have lost per prediction, three ways.

    Attributes:
        outcomes: how many logged outcomes it rests on.
        logged: what the policy of the log lost.
        ips: by inverse propensity; unbiased.
        self_normalised: less variance, a bias that vanishes.
        doubly_robust: with a model of losses; None without one.
        effective: as how many outcomes of its own these count: (sum w)^2 / sum w^2.
        learnt_from: how many outcomes a policy that learns was told; 0 for one that does not.
        doubts: why the log cannot answer; empty where it can.
    """

    outcomes: int
    logged: Interval
    ips: Interval
    self_normalised: Interval
    doubly_robust: Interval | None
    effective: float
    learnt_from: int
    doubts: tuple[str, ...]

    @property
    def supported(self) -> bool:
        """Whether the log supports an answer."""
        return not self.doubts


def replay(
    policy: Policy,
    outcomes: Sequence[LoggedOutcome],
    *,
    learning: bool = True,
    predicted: Floats | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Say what a policy would have lost on a log's predictions.

    Args:
        policy: the one in question, over the members of the log; it starts from nothing.
        outcomes: as `logged_data` gives them, in any order.
        learning: whether it learns as it goes; else it chooses as in the beginning.
        predicted: float64[outcomes, arms]: a model's estimate of each arm's loss, for the doubly
            robust figure; see `arm_means`.
        level: of the intervals.
        seed: of the draws by which it chooses, and is told an outcome once more or not.

    Raises:
        UsageError: there is no outcome, or one of an arm that the policy does not have.
    """
    import numpy as np

    if not outcomes:
        raise UsageError("expected logged outcomes, found none", fix="wait for feedback first")
    if max(each.outcome.arm for each in outcomes) >= policy.arms:
        raise UsageError(f"the log has more members than the policy, which has {policy.arms}")
    played = _Played(policy, outcomes, seed, learning=learning)
    found = evaluate(played.target, outcomes, predicted=predicted, level=level)
    doubts = list(found.doubts)
    varies = float(np.ptp(played.target, axis=0).max()) > 0.0
    if learning and (policy.full_information or varies):
        doubts += _learning_doubts(policy, played.told, mostly_told(outcomes, policy.arms))
    return msgspec.structs.replace(found, learnt_from=played.told, doubts=tuple(doubts))


class _Played:
    """A policy that chose at a log's predictions, and heard of its outcomes when they came.

    Attributes:
        target: float64[outcomes, arms]: with what probability it chose each arm.
        told: how many outcomes it was told.
    """

    def __init__(
        self, policy: Policy, outcomes: Sequence[LoggedOutcome], seed: int, *, learning: bool
    ) -> None:
        import numpy as np

        count = len(outcomes)
        draws, others = (
            np.random.default_rng(derive_seed(seed, name)).random(count).tolist()
            for name in ("replay", "shadow")
        )
        self._learner = Learner(policy, most_contexts=count)
        share = _share_shadowed(policy, outcomes)
        self.target = np.empty((count, policy.arms))
        self.told = 0
        awaited: dict[int, list[Outcome]] = {}
        coming = deque(sorted(range(count), key=lambda row: outcomes[row].told))
        for row in sorted(range(count), key=lambda row: outcomes[row].chosen):
            logged = outcomes[row]
            while coming and outcomes[coming[0]].told <= logged.chosen:
                come = coming.popleft()
                for outcome in awaited.pop(come, ()):
                    self._learner.learn(outcomes[come].context, outcome)
            self.target[row] = self._learner.probabilities(logged.context)
            if learning:
                awaited[row] = self._outcomes(logged, draws[row], shadowed=others[row] < share)
                self.told += len(awaited[row])

    def _outcomes(self, logged: LoggedOutcome, draw: float, *, shadowed: bool) -> list[Outcome]:
        """Return what the policy will be told of a choice that it makes now."""
        policy, was = self._learner.policy, logged.outcome
        if not _is_told(was, policy.arms):
            propensity = self._learner.probabilities(logged.context)[was.arm]
            advice = policy.advice(was.arm, logged.context)
            once = Outcome(was.arm, propensity, was.loss, was.at, advice=advice)
            return [once] * int(propensity / was.propensity + draw)
        choice = self._learner.choose(draw, logged.context)
        own = Outcome(
            choice.arm,
            choice.propensity,
            was.losses[choice.arm] or 0.0,
            was.at,
            was.losses if shadowed else (),
            choice.advice,
            was.apart if shadowed else (),
        )
        if own.apart:
            self._learner.overhear(logged.context, was.at, own.apart)
        return [own]


def evaluate(
    target: Floats,
    outcomes: Sequence[LoggedOutcome],
    *,
    predicted: Floats | None = None,
    level: float = 0.95,
) -> Evaluation:
    """Say what choosing by given probabilities would have lost.

    Args:
        target: float64[outcomes, arms]: the probability of each arm at each logged choice.
        outcomes: at least one.
        predicted: float64[outcomes, arms]: a model's estimate of each arm's loss.
        level: of the intervals.
    """
    import numpy as np

    rows, known = np.arange(len(outcomes)), _told_rows(outcomes, target.shape[1])
    arms = np.array([each.outcome.arm for each in outcomes])
    losses = np.array([each.outcome.loss for each in outcomes])
    propensities = np.array([each.outcome.propensity for each in outcomes])
    of_all = [each.outcome.losses for each in outcomes if _is_told(each.outcome, target.shape[1])]
    logged, expected = _mean(losses, level), losses.copy()
    if of_all:
        expected[known] = (target[known] * np.array(of_all, np.float64)).sum(axis=1)
    weights = np.where(known, 1.0, target[rows, arms] / propensities)
    robust = None
    if predicted is not None:
        model = (target * predicted).sum(axis=1)
        corrected = model + weights * (losses - predicted[rows, arms])
        robust = _mean(np.where(known, expected, corrected), level)
    square = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / square if square else 0.0
    return Evaluation(
        outcomes=len(outcomes),
        logged=logged,
        ips=_mean(weights * expected, level),
        self_normalised=_ratio(weights, expected, level),
        doubly_robust=robust,
        effective=effective,
        learnt_from=0,
        doubts=tuple(_doubts(weights, effective, float(propensities.min()))),
    )


def arm_means(outcomes: Sequence[LoggedOutcome], arms: int) -> Floats:
    """Return the plainest model of losses: float64[outcomes, arms], the mean of each arm.

    Each row leaves its own outcome out, so that the doubly robust figure stays unbiased; an arm
    without outcomes is taken to lose one half.
    """
    import numpy as np

    chosen = np.zeros((len(outcomes), arms))
    chosen[np.arange(len(outcomes)), [each.outcome.arm for each in outcomes]] = 1.0
    lost = chosen * np.array([each.outcome.loss for each in outcomes])[:, None]
    counts, sums = chosen.sum(axis=0) - chosen, lost.sum(axis=0) - lost
    means: Floats = np.where(counts > 0, sums / np.maximum(counts, 1.0), 0.5)
    return means


def _is_told(outcome: Outcome, arms: int) -> bool:
    """Say whether the losses of all arms are known."""
    return len(outcome.losses) == arms and None not in outcome.losses


def mostly_told(outcomes: Sequence[LoggedOutcome], arms: int) -> bool:
    """Say whether the losses of all arms are known at most outcomes; at failures they never are."""
    return 2 * sum(_is_told(each.outcome, arms) for each in outcomes) > len(outcomes)


def _told_rows(outcomes: Sequence[LoggedOutcome], arms: int) -> NDArray[np.bool_]:
    """Return bool[outcomes]: whether the losses of all arms are known."""
    import numpy as np

    return np.array([_is_told(each.outcome, arms) for each in outcomes])


def _share_shadowed(policy: Policy, outcomes: Sequence[LoggedOutcome]) -> float:
    """Return at what share of the rows where all arms were asked the policy would have asked."""
    told = sum(_is_told(each.outcome, policy.arms) for each in outcomes)
    return policy.share_shadowed() * len(outcomes) / max(told, 1)


def _mean(values: Floats, level: float) -> Interval:
    """Return a mean with the interval of the central limit theorem."""
    count = len(values)
    deviation = float(values.std(ddof=1)) if count > 1 else math.inf
    return _around(float(values.mean()), deviation / math.sqrt(count), level)


def _ratio(weights: Floats, losses: Floats, level: float) -> Interval:
    """Return sum w l / sum w, its deviation by the delta method."""
    total = float(weights.sum())
    if total <= 0.0:
        return Interval(math.nan, 0.0, 1.0, level)
    value = float((weights * losses).sum()) / total
    deviation = math.sqrt(float((weights**2 * (losses - value) ** 2).sum())) / total
    if (weights > 0.0).sum() < 2:  # one outcome never differs from its own mean
        deviation = math.inf
    return _around(value, deviation, level)


def _around(value: float, deviation: float, level: float) -> Interval:
    half = NormalDist().inv_cdf(0.5 + level / 2) * deviation
    # A mean loss lies in [0, 1], whatever the weights say.
    return Interval(value, max(0.0, value - half), min(1.0, value + half), level)


def _doubts(weights: Floats, effective: float, least: float) -> list[str]:
    doubts = []
    if effective < _ENOUGH:
        doubts.append(
            f"too few effective outcomes: {effective:.0f} of {len(weights)}, at least "
            f"{_ENOUGH:.0f} are needed"
        )
    if len(weights) < _ENOUGH:  # what their weights look like is chance's doing
        return doubts
    total = float(weights.sum())
    if total > 0.0 and float(weights.max()) > _GREATEST_SHARE * total:
        doubts.append(
            f"propensities are too small: one outcome has {weights.max() / total:.0%} of all "
            f"weight (the least propensity is {least:.2g})"
        )
    # The mean weight is the share of the policy's choices that the log can have made.
    deviation = float(weights.std()) / math.sqrt(len(weights))
    missing = 1.0 - float(weights.mean())
    if missing > _MISSING_MASS + _STEADY * deviation:
        doubts.append(f"the log never made {missing:.0%} of the choices that the policy would make")
    elif -missing > _MISSING_MASS + _STEADY * deviation:
        doubts.append(
            f"the propensities in the log are too small to be true: weights have a mean of "
            f"{1.0 - missing:.2f} instead of 1"
        )
    return doubts


def _learning_doubts(policy: Policy, fed: int, told: bool) -> list[str]:
    doubts = []
    if policy.full_information and not told:
        doubts.append(
            "the policy learns from the losses of all models: ask all of them in a shadow first"
        )
    if fed < _ENOUGH:
        doubts.append(f"the policy could learn from {fed} outcomes only")
    return doubts
