"""Discounted Thompson sampling: each arm is chosen as often as it is probably the best.

The loss of an arm has a Beta posterior, and evidence fades (Thompson 1933; Raj and Kalyani 2017
for the discount). What fades does not leave ignorance behind, but what is known of the arm in the
long run, as a few outcomes are worth (stabilised forgetting: Kulhavy and Zarrop 1993): an arm that
was mediocre for days is not tried again and again because that was long ago, and where feedback is
late and thin the choice does not hang on the few outcomes that are fresh.

Instead of drawing one value from each posterior and taking the best arm, the probability of being
the best is computed by quadrature, and one uniform draw decides: the same choice in distribution,
with a propensity that is known.

Where feedback is later than a fault lasts, feedback alone is of no help: nobody knows anything
before the first of it, and who acts on it afterwards avoids models that are well again. (To forget
no faster than feedback comes was tried: it mends little, and harms where delays are shorter.) A
share of the predictions is therefore shadowed: all arms are asked, and how often they disagree
tells at once how often each one errs (see `agreement`). A shadowed prediction counts for every arm,
and once: by that estimate while its truth is awaited, then by its truth (hints for feedback that is
under way: Flaspohler et al. 2021). Truth that has come puts the estimate right (see `overheard`),
so that models that err together are seen through once feedback has come. Where feedback comes at
once, nothing is awaited, and there is no estimate in it. Models that are all asked now and then
need not be picked to be known: an arm is then picked as often as several draws in a row would find
it the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.serve.selection.agreement import ENOUGH
from gristmill.serve.selection.evidence import (
    add,
    apart,
    fading,
    merge,
    nothing,
    only,
    together,
)
from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.overheard import Increment, heard, known, pairs_heard, told
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_floor,
    check_share,
    with_floor,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REACH = 8.0
_NODES = 33
_FRESH = 0.01
_SHADOWED = 0.05
_AGREEING = 4.0
"""Draws that have to agree on the best arm where all arms are asked at some predictions."""


class Thompson(FadingPolicy, frozen=True, forbid_unknown_fields=True, tag="thompson"):
    """Discounted Thompson sampling; the default.

    Its state holds every arm twice: sums that fade with `half_life`, then those of the long run.
    Where some predictions are shadowed, pairs of arms follow each: rows whose truth is awaited, and
    in the long run those whose truth is known; then the arms' losses on these.

    Attributes:
        memory: after how many half-lives an outcome counts half in the long run.
        trust: how many outcomes the long run is worth at most, in the prior of what is recent; 0
            for a uniform prior.
        floor: least probability of any arm; above 0 so that a model that has recovered is seen to,
            and so that the log can answer questions about other policies.
        expected: what each arm loses on average as far as that is known beforehand, from a holdout
            say, in [0, 1]; worth `trust` outcomes at first. () where nothing is known.
        shadow: share of the predictions at which all arms are asked, in [0, 1]; 0.05 costs a fifth
            more with five models. None for 0.05 with three arms or more, where it tells who errs
            before any feedback does, and 0 with fewer, where it does not.
    """

    half_life: float = 500.0
    memory: float = 20.0
    trust: float = 20.0
    expected: tuple[float, ...] = ()
    floor: float = 0.005
    shadow: float | None = None

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        check_floor(self.floor, self.arms)
        check_share("shadow", self.share_shadowed())
        if not self.memory >= 1.0:
            raise UsageError(f"expected memory of at least 1 half-life, found {self.memory:g}")
        if not self.trust >= 0.0:
            raise UsageError(f"expected trust of at least 0, found {self.trust:g}")
        if self.expected and len(self.expected) != self.arms:
            found = f"{len(self.expected)} for {self.arms} models"
            raise UsageError(f"expected: a loss for each model is needed, found {found}")
        if not all(0.0 <= loss <= 1.0 for loss in self.expected):
            raise UsageError(f"expected: losses lie in [0, 1], found {list(self.expected)}")

    @property
    def pairs(self) -> int:
        """How many pairs of arms are heard to disagree; 0 where that says nothing."""
        return pairs_heard(self.arms, self.share_shadowed())

    def share_shadowed(self) -> float:
        """Return the share of the predictions at which all arms are to be asked."""
        if self.shadow is None:
            return _SHADOWED if self.arms >= ENOUGH else 0.0
        return self.shadow

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing."""
        return nothing(2 * (self.arms + self.pairs) + (self.arms if self.pairs else 0))

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm, floor included."""
        chances = chance_of_best(*self._evidence(state))
        return with_floor(_agreed(chances) if self.share_shadowed() else chances, self.floor)

    def believed(self, state: PolicyState) -> tuple[float, ...]:
        """Return the mean of the posterior of each arm's loss."""
        weight, loss = self._evidence(state)
        return tuple((1.0 + lost) / (2.0 + seen) for seen, lost in zip(weight, loss, strict=True))

    def patience(self, state: PolicyState) -> int:
        """Return how many outcomes the probabilities hold for: 1 % of the recent ones.

        What is overheard stands for all the predictions among which it was shadowed.
        """
        share = self.share_shadowed()
        recent = sum(state.weight[: self.arms]) / (1.0 + share * (self.arms - 1))
        if self.pairs:
            recent += max(state.weight[self.arms : self.arms + self.pairs]) / share
        return max(1, int(_FRESH * recent))

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome: of all arms that are known, where it was shadowed."""
        recent, long = self._halves(state)
        losses = Increment(
            only(outcome.arm, self.arms, 1.0), only(outcome.arm, self.arms, outcome.loss)
        )
        if outcome.losses and self.share_shadowed():
            losses = known(outcome.losses)
        less, more = told(outcome, losses, self.pairs)
        at, half_life = outcome.at, self.half_life
        weight, loss = losses
        return together(
            add(recent, at, weight + less.weight, loss + less.loss, half_life),
            add(long, at, weight + more.weight, loss + more.loss, self.memory * half_life),
        )

    def overhear(
        self, state: PolicyState, at: float, differed: tuple[float | None, ...]
    ) -> PolicyState:
        """Return the state after a prediction whose truth is awaited."""
        if not self.pairs:
            return state
        recent, long = self._halves(state)
        pairs, sums = known(differed)
        none = (0.0,) * self.arms
        nobody = (0.0,) * len(long.weight)
        return together(
            add(recent, at, none + pairs, none + sums, self.half_life),
            add(long, at, nobody, nobody, self.memory * self.half_life),
        )

    def merge(self, one: PolicyState, other: PolicyState) -> PolicyState:
        """Return the state of one who has seen what both have seen; exact but for rounding."""
        recent, long = self._halves(one)
        others_recent, others_long = self._halves(other)
        return together(
            merge(recent, others_recent, self.half_life),
            merge(long, others_long, self.memory * self.half_life),
        )

    def _evidence(self, state: PolicyState) -> Increment:
        """Return how many outcomes of each arm count, and what was lost in them."""
        recent, long = self._halves(state)
        arms = self.arms
        before, lost_before = self._beforehand(state.at)
        seen = _with(long.weight[:arms], before, (1.0,) * arms)
        lost = _with(long.loss[:arms], lost_before, (1.0,) * arms)
        shares = [min(1.0, self.trust / each) if each else 0.0 for each in seen]
        weight = _with(recent.weight[:arms], seen, shares)
        loss = _with(recent.loss[:arms], lost, shares)
        if self.pairs:
            rows, rates = heard(apart(recent, arms)[1], apart(long, arms)[1], arms)
            weight = _with(weight, (1.0,) * arms, rows)
            loss = _with(loss, rates, rows)
        return Increment(weight, loss)

    def _halves(self, state: PolicyState) -> tuple[PolicyState, PolicyState]:
        return apart(state, self.arms + self.pairs)

    def _beforehand(self, at: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return what `expected` still counts at a date: outcomes of each arm, and their losses.

        It is no part of the state: states that are merged would hold it twice.
        """
        if not self.expected:
            return ((0.0,) * self.arms,) * 2
        worth = self.trust * fading(at, self.memory * self.half_life)
        return (worth,) * self.arms, tuple(worth * loss for loss in self.expected)


def chance_of_best(weight: tuple[float, ...], loss: tuple[float, ...]) -> tuple[float, ...]:
    """Return the probability of each arm that its mean loss is the least.

    Args:
        weight: outcomes of each arm; not negative, need not be whole.
        loss: their sums, each between 0 and its weight.

    P(i is best) is the integral of f_i(x) prod over j != i of (1 - F_j(x)), by the trapezoidal rule
    over the log odds of x, where a Beta posterior is smooth and has no edges.
    """
    import numpy as np

    bad = 1.0 + np.minimum(loss, weight)
    total = 2.0 + np.asarray(weight)
    odds = _nodes(bad, total - bad)
    logs = np.outer(bad, odds) - np.outer(total, np.logaddexp(0.0, odds))
    density = np.exp(logs - logs.max(axis=1, keepdims=True))
    pieces = (density[:, 1:] + density[:, :-1]) * np.diff(odds)
    # Normalised by their own sums, so that no gamma function is needed.
    pieces /= pieces.sum(axis=1, keepdims=True)
    later = 1.0 - np.cumsum(pieces, axis=1) + 0.5 * pieces
    best = (pieces * _others(later)).sum(axis=1)
    return tuple((best / best.sum()).tolist())


def _agreed(chances: Sequence[float]) -> tuple[float, ...]:
    """Return the probability of each arm that draws name which agree on one arm."""
    alike = [max(0.0, chance) ** _AGREEING for chance in chances]
    total = sum(alike)
    return tuple(each / total for each in alike)


def _nodes(bad: NDArray[np.float64], good: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log odds at which the posteriors are evaluated, rising: those around each one's."""
    import numpy as np

    deviation = np.sqrt(1.0 / bad + 1.0 / good)
    steps = np.linspace(-_REACH, _REACH, _NODES)
    return np.sort((np.log(bad / good)[:, None] + deviation[:, None] * steps).ravel())


def _others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, row by row, the product of all other rows; without dividing, as values can be 0."""
    import numpy as np

    ones = np.ones((1, values.shape[1]))
    before = np.cumprod(np.concatenate([ones, values[:-1]]), axis=0)
    after = np.cumprod(np.concatenate([ones, values[:0:-1]]), axis=0)[::-1]
    product: NDArray[np.float64] = before * after
    return product


def _with(
    recent: Sequence[float], long: Sequence[float], shares: Sequence[float]
) -> tuple[float, ...]:
    return tuple(r + share * s for r, s, share in zip(recent, long, shares, strict=True))
