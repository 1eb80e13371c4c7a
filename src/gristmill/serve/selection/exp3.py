"""Exp3: exponential weights for choices whose other outcomes nobody sees.

Auer, Cesa-Bianchi, Freund and Schapire 2002, section 3, for losses: p_i is proportional to
exp(-eta L_i), mixed with a uniform floor; L_i is the sum of loss / p at the time of the choice,
over the choices of i, and is unbiased because p is never below the floor. Weights are kept as sums
of losses and shifted before the exponential, so that they cannot underflow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gristmill.serve.selection.evidence import add, only
from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_floor,
    check_positive,
    with_floor,
)


class Exp3(FadingPolicy, frozen=True, forbid_unknown_fields=True, tag="exp3"):
    """Exp3 with an exploration floor and evidence that fades.

    Attributes:
        eta: learning rate.
        floor: least probability of any arm; above 0, for the weights are losses over propensities.
        half_life: after how many predictions an outcome counts half; infinite for plain Exp3.
    """

    eta: float = 0.1
    floor: float = 0.02
    half_life: float = 500.0

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        check_positive("eta", self.eta)
        check_positive("floor", self.floor)
        check_floor(self.floor, self.arms)

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm, floor included."""
        return with_floor(exponential_weights(state.loss, self.eta), self.floor)

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome, weighted by the propensity of its choice."""
        one = only(outcome.arm, self.arms, 1.0)
        lost = only(outcome.arm, self.arms, outcome.loss / outcome.propensity)
        return add(state, outcome.at, one, lost, self.half_life)


def exponential_weights(losses: Sequence[float], eta: float) -> tuple[float, ...]:
    """Return exp(-eta losses), normalised to add up to 1; the least loss has the most."""
    least = min(losses)
    raw = [math.exp(-eta * (loss - least)) for loss in losses]
    total = sum(raw)
    return tuple(weight / total for weight in raw)
