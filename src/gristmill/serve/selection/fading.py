"""What policies over fading sums have in common."""

from __future__ import annotations

from typing import ClassVar

from gristmill.serve.selection.evidence import add, merge, nothing, only
from gristmill.serve.selection.plain_policy import PlainPolicy
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_arms,
    check_positive,
)


class FadingPolicy(PlainPolicy, frozen=True, forbid_unknown_fields=True):
    """A policy that knows of every arm how often it was chosen and what it lost.

    Attributes:
        arms: how many models there are.
        half_life: after how many predictions an outcome counts half.
    """

    full_information: ClassVar[bool] = False

    arms: int
    half_life: float = 1000.0

    def __post_init__(self) -> None:
        check_arms(self.arms)
        check_positive("half_life", self.half_life)

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing."""
        return nothing(self.arms)

    def share_shadowed(self) -> float:
        """Return 0: nobody is asked but the chosen arm."""
        return 0.0

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome."""
        one, loss = only(outcome.arm, self.arms, 1.0), only(outcome.arm, self.arms, outcome.loss)
        return add(state, outcome.at, one, loss, self.half_life)

    def merge(self, one: PolicyState, other: PolicyState) -> PolicyState:
        """Return the state of one who has seen what both have seen; exact but for rounding."""
        return merge(one, other, self.half_life)
