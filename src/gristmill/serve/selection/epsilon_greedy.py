"""Epsilon-greedy (Watkins 1989): the arm with the least mean loss, but now and then any."""

from __future__ import annotations

from gristmill.core.errors import UsageError
from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.policy import PolicyState

_PRIOR = 1.0


class EpsilonGreedy(FadingPolicy, frozen=True, forbid_unknown_fields=True, tag="epsilon_greedy"):
    """Epsilon-greedy over means that fade; an arm never seen is taken to lose nothing.

    Attributes:
        epsilon: how often an arm is drawn uniformly, in [0, 1].
    """

    epsilon: float = 0.05

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        if not 0.0 <= self.epsilon <= 1.0:
            raise UsageError(f"expected epsilon in [0, 1], found {self.epsilon:g}")

    def believed(self, state: PolicyState) -> tuple[float, ...]:
        """Return the mean loss of each arm."""
        # One outcome without a loss is added, so that the mean of an old outcome fades, too.
        return tuple(x / (w + _PRIOR) for w, x in zip(state.weight, state.loss, strict=True))

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm; equally good ones share."""
        means = self.believed(state)
        best = [mean == min(means) for mean in means]
        each, greedy = self.epsilon / self.arms, (1.0 - self.epsilon) / sum(best)
        return tuple(each + greedy * good for good in best)
