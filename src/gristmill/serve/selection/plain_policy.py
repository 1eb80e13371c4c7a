"""What policies have in common that learn from feedback alone."""

from __future__ import annotations

import msgspec

from gristmill.serve.selection.policy import PolicyState


class PlainPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A base without fields: no experts, no ear for how answers differ, cheap probabilities."""

    @property
    def pairs(self) -> int:
        """How many pairs of arms it overhears: none."""
        return 0

    @property
    def learns_across_contexts(self) -> bool:
        """Whether what is learnt in one context decides in all of them: not here."""
        return False

    def believed(self, state: PolicyState) -> tuple[float, ...]:
        """Return nothing: weights say who is better, not what anyone loses."""
        return ()

    def patience(self, state: PolicyState) -> int:
        """Return how many outcomes the probabilities hold for: 1, as they cost little."""
        return 1

    def advice(self, arm: int, context: str) -> tuple[float, ...]:
        """Return nothing: there are no experts."""
        return ()

    def overhear(
        self,
        state: PolicyState,
        at: float,
        differed: tuple[float | None, ...],
    ) -> PolicyState:
        """Return the state as it is: only feedback teaches anything."""
        return state
