"""A policy with what it has learnt: one state for all, or one per context (user, country, ...).

A policy that learns across contexts has one state, and in each context other probabilities.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from gristmill.core.errors import UsageError
from gristmill.serve.selection.policy import Choice, Outcome, Policy, PolicyState, chosen


class Learnt(msgspec.Struct, array_like=True):
    """What is known in one context.

    Attributes:
        state: of the policy.
        made: how many rows were predicted; the clock by which evidence fades.
    """

    state: PolicyState
    made: int = 0


class _Cached:
    """Probabilities of one context, and how many outcomes they still hold for."""

    __slots__ = ("left", "probabilities")

    def __init__(self, probabilities: tuple[float, ...], left: float) -> None:
        self.probabilities, self.left = probabilities, left


class Learner:
    """A policy that learns, in a bounded number of contexts.

    Args:
        policy: how to choose.
        most_contexts: how many contexts are kept; of more, the least recently used go.

    Raises:
        UsageError: fewer than one context.
    """

    def __init__(self, policy: Policy, *, most_contexts: int = 1000) -> None:
        if most_contexts < 1:
            raise UsageError(f"expected most_contexts of at least 1, found {most_contexts}")
        self.policy, self.most_contexts = policy, most_contexts
        self._known: OrderedDict[str, Learnt] = OrderedDict()
        self._cache: dict[str, _Cached] = {}
        self._start = policy.start()

    def choose(self, draw: float, context: str = "") -> Choice:
        """Draw an arm by a uniform number in [0, 1); changes nothing that is learnt."""
        return chosen(self.policy, self.probabilities(context), draw, context)

    def probabilities(self, context: str = "") -> tuple[float, ...]:
        """Return the probability of each arm, at most `policy.patience` outcomes old."""
        cached = self._cache.get(context)
        if cached is None:
            state = self.state(context)
            probabilities = self.policy.probabilities(state, context)
            cached = _Cached(probabilities, self.policy.patience(state))
            if len(self._cache) >= 2 * self.most_contexts:
                # Of contexts that were only asked for, which nobody forgets.
                self._cache.clear()
            self._cache[context] = cached
        return cached.probabilities

    def state(self, context: str = "") -> PolicyState:
        """Return what has been learnt in a context."""
        known = self._known.get(self._place(context))
        return self._start if known is None else known.state

    def made(self, context: str, rows: int) -> int:
        """Count the rows of a prediction, and return how many there were before: its date."""
        known = self._touched(context)
        before = known.made
        known.made += rows
        return before

    def date(self, context: str) -> int:
        """Return the date that the next prediction in a context will have."""
        known = self._known.get(self._place(context))
        return 0 if known is None else known.made

    def learn(self, context: str, outcome: Outcome) -> None:
        """Take in an outcome."""
        known = self._touched(context)
        # A context that was forgotten and is back has to go on where its outcomes are.
        known.made = max(known.made, int(outcome.at))
        known.state = self.policy.update(known.state, outcome)
        self._aged(context, 1.0)

    def overhear(self, context: str, at: float, differed: tuple[float | None, ...]) -> None:
        """Take in how far answers to a row are apart whose truth is awaited; see `Policy`."""
        if not self.policy.pairs:
            return
        known = self._touched(context)
        known.made = max(known.made, int(at))
        known.state = self.policy.overhear(known.state, at, differed)
        # It stands for the predictions that were not shadowed, too.
        self._aged(context, 1.0 / self.policy.share_shadowed())

    def snapshot(self) -> list[tuple[str, Learnt]]:
        """Return everything learnt, the least recently used context first."""
        return [(context, Learnt(each.state, each.made)) for context, each in self._known.items()]

    def load(self, snapshot: Iterable[tuple[str, Learnt]]) -> None:
        """Replace everything learnt by a snapshot."""
        self._known = OrderedDict((name, Learnt(each.state, each.made)) for name, each in snapshot)
        self._cache.clear()
        self._forget()

    def merge(self, snapshot: Iterable[tuple[str, Learnt]]) -> None:
        """Add what another learner of the same policy has learnt from other outcomes."""
        for context, theirs in snapshot:
            known = self._touched(context)
            known.state = self.policy.merge(known.state, theirs.state)
            known.made = max(known.made, theirs.made)
        self._cache.clear()

    @property
    def contexts(self) -> Mapping[str, Learnt]:
        """What is known, by context."""
        return self._known

    def _place(self, context: str) -> str:
        """Return under which name the state is kept that decides in a context."""
        return "" if self.policy.learns_across_contexts else context

    def _aged(self, context: str, outcomes: float) -> None:
        if self.policy.learns_across_contexts:
            self._cache.clear()
            return
        cached = self._cache.get(context)
        if cached is not None:
            cached.left -= outcomes
            if cached.left <= 0:
                del self._cache[context]

    def _touched(self, context: str) -> Learnt:
        context = self._place(context)
        known = self._known.get(context)
        if known is None:
            known = self._known[context] = Learnt(self._start)
            self._forget()
        else:
            self._known.move_to_end(context)
        return known

    def _forget(self) -> None:
        while len(self._known) > self.most_contexts:
            context, _ = self._known.popitem(last=False)
            self._cache.pop(context, None)
