"""Discounted Thompson sampling: each arm is chosen as often as it is probably the best.

The loss of an arm has a Beta posterior from a uniform prior, and evidence fades (Thompson 1933;
Raj and Kalyani 2017 for the discount). Instead of drawing one value from each posterior and taking
the best arm, the probability of being the best is computed by quadrature, and one uniform draw
decides: the same choice in distribution, with a propensity that is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.policy import (
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

    Attributes:
        floor: least probability of any arm; above 0 so that a model that has recovered is seen to,
            and so that the log can answer questions about other policies.
    """

    half_life: float = 500.0
    floor: float = 0.005

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        check_floor(self.floor, self.arms)

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm, floor included."""
        return with_floor(chance_of_best(state.weight, state.loss), self.floor)

    def patience(self, state: PolicyState) -> int:
        """Return how many outcomes the probabilities hold for: 1 % of what has been seen."""
        return max(1, int(_FRESH * sum(state.weight)))


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
