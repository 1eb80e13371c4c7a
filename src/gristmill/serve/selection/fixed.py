"""Always one arm, or always the same shares: an A/B test, a control, or a choice made by hand."""

from __future__ import annotations

import math

from gristmill.core.errors import UsageError
from gristmill.serve.selection.evidence import only
from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.policy import PolicyState


class Fixed(FadingPolicy, frozen=True, forbid_unknown_fields=True, tag="fixed"):
    """Fixed shares; its state only counts what each arm has lost, and decides nothing.

    Attributes:
        shares: the probability of each; empty for always the first.
    """

    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        if not self.shares:
            return
        wrong = len(self.shares) != self.arms or min(self.shares) < 0.0
        if wrong or not math.isclose(sum(self.shares), 1.0, abs_tol=1e-9):
            raise UsageError(
                f"expected {self.arms} shares that add up to 1, found {list(self.shares)}"
            )

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the shares."""
        return self.shares or only(0, self.arms, 1.0)
