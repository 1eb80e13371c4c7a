"""Exp4: exponential weights over experts, each of whom says how to choose in a context.

Auer, Cesa-Bianchi, Freund and Schapire 2002, section 7, for losses. An expert is a table: in this
context, choose these models with these probabilities. Experts are weighed in all contexts together,
so that who was right of one country is heard of the next. An expert's weight falls by the loss that
it would have had, estimated as loss x its probability of the arm / the propensity of the arm.
"""

from __future__ import annotations

import math

from gristmill.core.errors import UsageError
from gristmill.serve.selection.evidence import add, nothing
from gristmill.serve.selection.exp3 import exponential_weights
from gristmill.serve.selection.fading import FadingPolicy
from gristmill.serve.selection.policy import (
    Outcome,
    PolicyState,
    check_floor,
    check_positive,
    with_floor,
)

Expert = dict[str, tuple[float, ...]]
"""Context -> probability of each arm; the entry "" stands for every context without its own."""


class Exp4(FadingPolicy, frozen=True, forbid_unknown_fields=True, tag="exp4"):
    """Exp4 with an exploration floor and evidence that fades.

    Attributes:
        experts: who advises; each needs an entry "". None: one expert per arm, who always names it.
        eta: learning rate.
        floor: least probability of any arm; above 0.
        half_life: after how many predictions an outcome counts half.
    """

    experts: tuple[Expert, ...] = ()
    eta: float = 0.1
    floor: float = 0.02
    half_life: float = 500.0

    def __post_init__(self) -> None:
        FadingPolicy.__post_init__(self)
        check_positive("eta", self.eta)
        check_positive("floor", self.floor)
        check_floor(self.floor, self.arms)
        for position, expert in enumerate(self.experts):
            _check_expert(expert, self.arms, f"expert {position}")

    @property
    def learns_across_contexts(self) -> bool:
        """Whether what is learnt in one context decides in all of them: where there are experts."""
        return bool(self.experts)

    def start(self) -> PolicyState:
        """Return the state of one who has seen nothing; its figures are those of experts."""
        return nothing(len(self.experts) or self.arms)

    def probabilities(self, state: PolicyState, context: str = "") -> tuple[float, ...]:
        """Return the probability of every arm in a context, floor included."""
        trust = exponential_weights(state.loss, self.eta)
        if not self.experts:
            return with_floor(trust, self.floor)
        said = [_said(expert, context) for expert in self.experts]
        mixed = [sum(w * row[arm] for w, row in zip(trust, said, strict=True))
                 for arm in range(self.arms)]  # fmt: skip
        return with_floor(mixed, self.floor)

    def advice(self, arm: int, context: str) -> tuple[float, ...]:
        """Return the probability that each expert gives an arm in a context."""
        if not self.experts:
            return tuple(float(position == arm) for position in range(self.arms))
        return tuple(_said(expert, context)[arm] for expert in self.experts)

    def update(self, state: PolicyState, outcome: Outcome) -> PolicyState:
        """Return the state after an outcome: every expert answers for the arm it advised."""
        lost = outcome.loss / outcome.propensity
        losses = [lost * share for share in outcome.advice]
        return add(state, outcome.at, outcome.advice, losses, self.half_life)


def _said(expert: Expert, context: str) -> tuple[float, ...]:
    return expert.get(context) or expert[""]


def _check_expert(expert: Expert, arms: int, name: str) -> None:
    if "" not in expert:
        raise UsageError(f'{name}: expected an entry "" for contexts that it has no entry for')
    for context, row in expert.items():
        if len(row) != arms or min(row) < 0.0 or not math.isclose(sum(row), 1.0, abs_tol=1e-9):
            raise UsageError(
                f"{name}, context {context!r}: expected {arms} probabilities that add up to 1, "
                f"found {list(row)}"
            )
