"""What a policy is: probabilities of arms from a state, and a state that outcomes change.

An arm is a model that could answer. Everything here is pure: a policy keeps nothing, the draw that
decides and the date of an outcome are arguments, and the propensity that is logged with a choice is
the very probability that it was drawn with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import msgspec

from gristmill.core.errors import UsageError


class PolicyState(msgspec.Struct, frozen=True, array_like=True):
    """What a policy has learnt; what the figures mean is the policy's own affair.

    Attributes:
        at: date of the newest outcome, in the unit of the policy's half-life.
        weight: how much has been seen of each arm (or expert).
        loss: the sum of what was lost by each.
    """

    at: float
    weight: tuple[float, ...]
    loss: tuple[float, ...]


class Choice(msgspec.Struct, frozen=True):
    """The arm that was drawn.

    Attributes:
        arm: its position.
        propensity: the probability that it had.
        advice: the probability that each expert gave it, where the policy has experts.
    """

    arm: int
    propensity: float
    advice: tuple[float, ...] = ()


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What became of a choice.

    Attributes:
        arm, propensity, advice: as in the choice.
        loss: in [0, 1].
        at: when the choice was made (not when its loss was told).
        losses: the loss of every arm, where all were asked; None for one that did not answer.
        apart: how far the answers were apart, pair by pair, where the policy has overheard that.
    """

    arm: int
    propensity: float
    loss: float
    at: float
    losses: tuple[float | None, ...] = ()
    advice: tuple[float, ...] = ()
    apart: tuple[float | None, ...] = ()


class Policy(Protocol):
    """A way to choose among `arms` models."""

    full_information: ClassVar[bool]
    """Whether it learns from the losses of all arms, so that all have to be asked."""

    @property
    def arms(self) -> int:
        """How many there are."""

    @property
    def pairs(self) -> int:
        """How many pairs of arms it overhears to differ: all of them, or 0."""

    @property
    def learns_across_contexts(self) -> bool:
        """Whether what is learnt in one context decides in all of them: one state, not many."""

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing."""

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm; they add up to 1."""

    def patience(self, state: PolicyState) -> int:
        """Return after how many outcomes the probabilities should be computed anew, at least 1."""

    def believed(self, state: PolicyState) -> tuple[float, ...]:
        """Return what each arm is believed to lose, in [0, 1]; empty where that is not kept."""

    def advice(self, arm: int, context: str) -> tuple[float, ...]:
        """Return the probability that each expert gives an arm; empty without experts."""

    def share_shadowed(self) -> float:
        """Return the share of the predictions at which all arms are to be asked, in [0, 1]."""

    def overhear(
        self, state: PolicyState, at: float, differed: tuple[float | None, ...]
    ) -> PolicyState:
        """Return the state after answers to a row whose truth is awaited.

        Args:
            at: when they were asked.
            differed: how far the answers are apart, in [0, 1], pair by pair as `agreement.pairs`
                lists them; None where one of both did not answer, or was overheard before.
        """

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome, in whatever order outcomes come."""

    def merge(self, one: PolicyState, other: PolicyState) -> PolicyState:
        """Return the state of one who has seen what both have seen."""


def choose(policy: Policy, state: PolicyState, draw: float, context: str = "") -> Choice:
    """Draw an arm.

    Args:
        draw: uniform in [0, 1); equal draws give equal choices.
    """
    return chosen(policy, policy.probabilities(state, context), draw, context)


def chosen(
    policy: Policy, probabilities: Sequence[float], draw: float, context: str = ""
) -> Choice:
    """Draw an arm by probabilities that were computed before; see `choose`."""
    arm = drawn(probabilities, draw)
    return Choice(arm, probabilities[arm], policy.advice(arm, context))


def drawn(probabilities: Sequence[float], draw: float) -> int:
    """Return the position where the running sum of probabilities passes `draw`."""
    last = 0
    for position, probability in enumerate(probabilities):
        if probability > 0.0:
            if draw < probability:
                return position
            last = position
            draw -= probability
    # The probabilities add up to a little less than 1, and the draw fell into the rest.
    return last


def with_floor(probabilities: Sequence[float], floor: float) -> tuple[float, ...]:
    """Mix probabilities with the uniform, so that none is below `floor`."""
    rest = 1.0 - floor * len(probabilities)
    return tuple(floor + rest * probability for probability in probabilities)


def check_arms(arms: int) -> None:
    """Check the number of arms.

    Raises:
        UsageError: there is none.
    """
    if arms < 1:
        raise UsageError(f"expected at least 1 model to choose from, found {arms}")


def check_floor(floor: float, arms: int) -> None:
    """Check an exploration floor: the least probability of any arm.

    Raises:
        UsageError: it is negative, or the floors of all arms add up to more than 1.
    """
    if not 0.0 <= floor * arms <= 1.0:
        raise UsageError(
            f"expected a floor between 0 and 1/{arms}, found {floor:g}",
            fix="the floor is the least probability of each model; 0.01 is a usual one",
        )


def check_positive(name: str, value: float) -> None:
    """Check a figure that must be above 0.

    Raises:
        UsageError: it is not.
    """
    if not value > 0.0:
        raise UsageError(f"expected {name} above 0, found {value:g}")


def check_share(name: str, share: float) -> None:
    """Check a share of predictions.

    Raises:
        UsageError: it lies outside of [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"expected {name} in [0, 1], found {share:g}")


def check_loss(loss: float) -> float:
    """Return a loss that lies in [0, 1].

    Raises:
        UsageError: it does not, or it is no number.
    """
    if not 0.0 <= loss <= 1.0:
        raise UsageError(f"expected a loss in [0, 1], found {loss!r}")
    return loss
