"""Discounted Thompson sampling: each arm is chosen as often as it is probably the best.

The loss of an arm has a Beta posterior, and evidence fades (Thompson 1933; Raj and Kalyani 2017
for the discount). What fades does not leave ignorance behind, but what is known of the arm in the
long run, as a few outcomes are worth (stabilised forgetting: Kulhavy and Zarrop 1993): an arm that
was mediocre for days is not tried again and again because that was long ago, and where feedback is
late and thin the choice does not hang on the few outcomes that are fresh.

Instead of drawing one value from each posterior and taking the best arm, the probability of being
the best is computed by quadrature, and one uniform draw decides: the same choice in distribution,
with a propensity that is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.serve.selection.evidence import add, apart, merge, nothing, only, together
from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_floor,
    with_floor,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REACH = 8.0
_NODES = 33
_FRESH = 0.01


class Thompson(FadingPolicy, frozen=True, forbid_unknown_fields=True, tag="thompson"):
    """Discounted Thompson sampling; the default.

    Its state holds every arm twice: sums that fade with `half_life`, then those of the long run.

    Attributes:
        memory: after how many half-lives an outcome counts half in the long run.
        trust: how many outcomes the long run is worth at most, in the prior of what is recent; 0
            for a uniform prior.
        floor: least probability of any arm; above 0 so that a model that has recovered is seen to,
            and so that the log can answer questions about other policies.
    """

    half_life: float = 500.0
    memory: float = 20.0
    trust: float = 20.0
    floor: float = 0.005

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        check_floor(self.floor, self.arms)
        if not self.memory >= 1.0:
            raise UsageError(f"expected memory of at least 1 half-life, found {self.memory:g}")
        if not self.trust >= 0.0:
            raise UsageError(f"expected trust of at least 0, found {self.trust:g}")

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing."""
        return nothing(2 * self.arms)

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm, floor included."""
        recent, long = apart(state, self.arms)
        shares = [min(1.0, self.trust / seen) if seen else 0.0 for seen in long.weight]
        weight = _with(recent.weight, long.weight, shares)
        loss = _with(recent.loss, long.loss, shares)
        return with_floor(chance_of_best(weight, loss), self.floor)

    def patience(self, state: PolicyState) -> int:
        """Return how many outcomes the probabilities hold for: 1 % of the recent ones."""
        return max(1, int(_FRESH * sum(state.weight[: self.arms])))

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome."""
        recent, long = apart(state, self.arms)
        one, loss = only(outcome.arm, self.arms, 1.0), only(outcome.arm, self.arms, outcome.loss)
        return together(
            add(recent, outcome.at, one, loss, self.half_life),
            add(long, outcome.at, one, loss, self.memory * self.half_life),
        )

    def merge(self, one: PolicyState, other: PolicyState) -> PolicyState:
        """Return the state of one who has seen what both have seen; exact but for rounding."""
        recent, long = apart(one, self.arms)
        others_recent, others_long = apart(other, self.arms)
        return together(
            merge(recent, others_recent, self.half_life),
            merge(long, others_long, self.memory * self.half_life),
        )


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
