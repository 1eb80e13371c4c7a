"""Hedge with fixed share: exponential weights where the losses of all models are known.

Freund and Schapire 1997; the share is that of Herbster and Warmuth 1998, section 4: after each
outcome every arm hands a small part of its weight to all, so that one that was bad for long is back
within a few outcomes of becoming good. All models have to be asked (shadowed) for that.

Where feedback is late, weights say who was good when the newest of it was made. For the rows whose
truth is awaited there are hints instead (optimism, in Flaspohler et al. 2021): how often each of
three models or more errs on them, as their disagreement tells (see `overheard`). A row counts once,
by hint until its truth has come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from gristmill.core.errors import UsageError
from gristmill.serve.selection.evidence import add, apart, fading, merge, nothing, together
from gristmill.serve.selection.exp3 import exponential_weights
from gristmill.serve.selection.overheard import Increment, heard, known, pairs_heard, told
from gristmill.serve.selection.plain_policy import PlainPolicy
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_arms,
    check_floor,
    check_positive,
    with_floor,
)

_FRESH = 0.01


class Hedge(PlainPolicy, frozen=True, forbid_unknown_fields=True, tag="hedge"):
    """Hedge with fixed share.

    In its state `loss` begins with minus the logarithm of each weight, the greatest weight being 1,
    and `weight` with how often each arm was heard of. With three arms or more, sums follow that
    fade: of pairs of arms on rows whose truth is awaited, of pairs where it is known, and of arms
    on these.

    Attributes:
        arms: how many models there are.
        eta: learning rate.
        share: part of the weight that is shared out after each outcome, in [0, 1).
        half_life: after how many predictions an outcome that is told later than newer ones counts
            half: what it says of the models has been overtaken. So do rows whose truth is awaited.
        memory: after how many half-lives it counts half how much more or less than independent
            models two of them agreed.
        floor: least probability of any arm; 0 is sound here, as nothing depends on being chosen.
    """

    full_information: ClassVar[bool] = True

    arms: int
    eta: float = 0.3
    share: float = 0.001
    half_life: float = 500.0
    floor: float = 0.0
    memory: float = 20.0

    def __post_init__(self) -> None:
        check_arms(self.arms)
        check_positive("eta", self.eta)
        check_positive("half_life", self.half_life)
        check_floor(self.floor, self.arms)
        if not 0.0 <= self.share < 1.0:
            raise UsageError(f"expected a share in [0, 1), found {self.share:g}")
        if not self.memory >= 1.0:
            raise UsageError(f"expected memory of at least 1 half-life, found {self.memory:g}")

    @property
    def pairs(self) -> int:
        """How many pairs of arms are heard to disagree; 0 where that says nothing."""
        return pairs_heard(self.arms, self.share_shadowed())

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing."""
        return nothing(self.arms + (2 * self.pairs + self.arms if self.pairs else 0))

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm: its share of the weights."""
        weights, awaited, then = self._parts(state)
        losses = weights.loss
        if max(awaited.weight, default=0.0) > 0.0:
            rows, rates = heard(awaited, then, self.arms)
            hints = (self.eta * count * rate for count, rate in zip(rows, rates, strict=True))
            losses = tuple(map(sum, zip(losses, hints, strict=True)))
        return with_floor(exponential_weights(losses, 1.0), self.floor)

    def patience(self, state: PolicyState) -> int:
        """Return how many outcomes the probabilities hold for: 1 % of the rows that are awaited."""
        awaited = self._parts(state)[1]
        return max(1, int(_FRESH * max(awaited.weight, default=0.0)))

    def share_shadowed(self) -> float:
        """Return 1: all arms are always asked."""
        return 1.0

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome; one without the losses of all arms teaches nothing."""
        if not outcome.losses:
            return state
        weights, awaited, then = self._parts(state)
        losses = self._filled(weights, outcome.losses)
        eta = self.eta * fading(state.at - outcome.at, self.half_life)
        summed = [old + eta * new for old, new in zip(weights.loss, losses, strict=True)]
        answered = known(outcome.losses)
        seen = tuple(w + a for w, a in zip(weights.weight, answered.weight, strict=True))
        learnt = PolicyState(max(state.at, outcome.at), seen, self._shared(summed))
        return self._heard(learnt, awaited, then, outcome.at, *told(outcome, answered, self.pairs))

    def overhear(
        self, state: PolicyState, at: float, differed: tuple[float | None, ...]
    ) -> PolicyState:
        """Return the state after a prediction whose truth is awaited."""
        if not self.pairs:
            return state
        weights, awaited, then = self._parts(state)
        more, nobody = known(differed), known((None,) * len(then.weight))
        return self._heard(weights, awaited, then, at, more, nobody)

    def merge(self, one: PolicyState, other: PolicyState) -> PolicyState:
        """Return the state of one who has seen what both have seen.

        The weights are multiplied, which is exact without a share; with one, each side's memory is
        bounded by its own shares, and so is that of the product.
        """
        (weights, awaited, then), (others, *theirs) = self._parts(one), self._parts(other)
        summed = [a + b for a, b in zip(weights.loss, others.loss, strict=True)]
        seen = tuple(a + b for a, b in zip(weights.weight, others.weight, strict=True))
        both = PolicyState(max(one.at, other.at), seen, _shifted(summed))
        paces = (self.half_life, self.memory * self.half_life)
        heard_by_both = [
            merge(mine, their, pace)
            for mine, their, pace in zip((awaited, then), theirs, paces, strict=True)
        ]
        return together(both, together(*heard_by_both))

    def _parts(self, state: PolicyState) -> tuple[PolicyState, PolicyState, PolicyState]:
        """Return the weights; sums of rows whose truth is awaited; of those where it is known."""
        weights, rest = apart(state, self.arms)
        return weights, *apart(rest, self.pairs)

    def _heard(
        self,
        weights: PolicyState,
        awaited: PolicyState,
        then: PolicyState,
        at: float,
        more: Increment,
        learnt: Increment,
    ) -> PolicyState:
        """Return a state with more sums of rows that are awaited, and of known ones."""
        rest = together(
            add(awaited, at, *more, self.half_life),
            add(then, at, *learnt, self.memory * self.half_life),
        )
        return PolicyState(rest.at, weights.weight + rest.weight, weights.loss + rest.loss)

    def _filled(self, state: PolicyState, losses: Sequence[float | None]) -> list[float]:
        """Give an arm that did not answer the others' mean, which leaves its share as it is.

        (A sleeping expert of Freund, Schapire, Singer and Warmuth 1997, to first order.)
        """
        weights = exponential_weights(state.loss, 1.0)
        awake = [(w, x) for w, x in zip(weights, losses, strict=True) if x is not None]
        total = sum(w for w, _ in awake)
        mean = sum(w * x for w, x in awake) / total if total > 0.0 else 0.0
        return [mean if loss is None else loss for loss in losses]

    def _shared(self, summed: Sequence[float]) -> tuple[float, ...]:
        weights = exponential_weights(summed, 1.0)
        if not self.share:
            return _shifted(summed)
        kept, given = 1.0 - self.share, self.share / self.arms
        return _shifted([-math.log(kept * weight + given) for weight in weights])


def _shifted(losses: Sequence[float]) -> tuple[float, ...]:
    least = min(losses)
    return tuple(loss - least for loss in losses)
