"""Hedge with fixed share: exponential weights where the losses of all models are known.

Freund and Schapire 1997; the share is that of Herbster and Warmuth 1998, section 4: after each
outcome every arm hands a small part of its weight to all, so that one that was bad for long is back
within a few outcomes of becoming good. All models have to be asked (shadowed) for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from gristmill.core.errors import UsageError
from gristmill.serve.selection.evidence import fading
from gristmill.serve.selection.exp3 import exponential_weights
from gristmill.serve.selection.plain_policy import PlainPolicy
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_arms,
    check_floor,
    check_positive,
    with_floor,
)


class Hedge(PlainPolicy, frozen=True, forbid_unknown_fields=True, tag="hedge"):
    """Hedge with fixed share.

    In its state `loss` is minus the logarithm of each weight, the greatest weight being 1.

    Attributes:
        arms: how many models there are.
        eta: learning rate.
        share: part of the weight that is shared out after each outcome, in [0, 1).
        half_life: after how many predictions an outcome that is told later than newer ones counts
            half: what it says of the models has been overtaken.
        floor: least probability of any arm; 0 is sound here, as nothing depends on being chosen.
    """

    full_information: ClassVar[bool] = True

    arms: int
    eta: float = 0.3
    share: float = 0.001
    half_life: float = 500.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_arms(self.arms)
        check_positive("eta", self.eta)
        check_positive("half_life", self.half_life)
        check_floor(self.floor, self.arms)
        if not 0.0 <= self.share < 1.0:
            raise UsageError(f"expected a share in [0, 1), found {self.share:g}")

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing."""
        return PolicyState(0.0, (0.0,) * self.arms, (0.0,) * self.arms)

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm: its share of the weights."""
        return with_floor(exponential_weights(state.loss, 1.0), self.floor)

    def share_shadowed(self) -> float:
        """Return 1: all arms are always asked."""
        return 1.0

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome; one without the losses of all arms teaches nothing."""
        if not outcome.losses:
            return state
        losses = self._filled(state, outcome.losses)
        eta = self.eta * fading(state.at - outcome.at, self.half_life)
        summed = [old + eta * new for old, new in zip(state.loss, losses, strict=True)]
        answered = (loss is not None for loss in outcome.losses)
        seen = tuple(w + a for w, a in zip(state.weight, answered, strict=True))
        return PolicyState(max(state.at, outcome.at), seen, self._shared(summed))

    def merge(self, one: PolicyState, other: PolicyState) -> PolicyState:
        """Return the state of one who has seen what both have seen.

        The weights are multiplied, which is exact without a share; with one, each side's memory is
        bounded by its own shares, and so is that of the product.
        """
        summed = [a + b for a, b in zip(one.loss, other.loss, strict=True)]
        seen = tuple(a + b for a, b in zip(one.weight, other.weight, strict=True))
        return PolicyState(max(one.at, other.at), seen, _shifted(summed))

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
