"""Predictions that wait for their feedback: bounded, told apart when feedback comes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, TypeAlias

import msgspec

from gristmill.serve.selection.losses import Said

JoinStatus: TypeAlias = Literal["joined", "repeated", "expired", "unknown"]
"""What became of a piece of feedback."""


class Awaited(msgspec.Struct):
    """One prediction whose feedback may come.

    Attributes:
        context, arm, propensity, advice, said: as in the log.
        date: of the choice, by the clock of its context.
        when: seconds since 1970.
        rows: how many rows it has.
        told: bit i is set once feedback of row i has come.
    """

    context: str
    arm: int
    propensity: float
    date: int
    when: float
    rows: int
    said: list[list[Said]]
    advice: tuple[float, ...] = ()
    told: int = 0

    def complete(self) -> bool:
        """Whether feedback of every row has come."""
        return self.told == (1 << self.rows) - 1


class Awaiting:
    """The newest predictions, by number.

    Args:
        capacity: how many are kept; older ones have expired.
        max_age: seconds after which a prediction has expired; None for never.

    Attributes:
        first: number of the oldest prediction that has not expired.
        next: number of the next prediction.
        waiting: how many have a row whose feedback has not come; the others are kept, too, so that
            feedback that is repeated is known for what it is.
    """

    def __init__(self, *, capacity: int = 50_000, max_age: float | None = None) -> None:
        self.capacity, self.max_age = capacity, max_age
        self.first = self.next = self.waiting = 0
        # Not a dict: to find its oldest entry it passes over the places of all that went before.
        self._known: OrderedDict[int, Awaited] = OrderedDict()

    def add(self, number: int, prediction: Awaited) -> None:
        """Keep a prediction; its number is at least `next`."""
        self._known[number] = prediction
        self.waiting += not prediction.complete()
        self.next = number + 1
        if len(self._known) > self.capacity:
            self.expire(next(iter(self._known)) + 1)

    def expire(self, first: int) -> None:
        """Let go of every prediction before a number."""
        while self._known and (oldest := next(iter(self._known))) < first:
            self.waiting -= not self._known.pop(oldest).complete()
        self.first = max(self.first, first)
        self.skip(first)

    def skip(self, number: int) -> None:
        """Give no number before this one to a new prediction."""
        self.next = max(self.next, number)

    def answered(self, number: int, arm: int, said: list[Said]) -> Awaited | None:
        """Note what an arm said that was asked beside the chosen one.

        Returns:
            the prediction, where feedback may still come.
        """
        prediction = self._known.get(number)
        if prediction is None or not prediction.said:
            return None
        prediction.said[arm] = said
        return prediction

    def find(self, number: int, row: int, now: float) -> Awaited | JoinStatus:
        """Return the prediction that waits for feedback of a row, or why none does."""
        if number >= self.next:
            return "unknown"
        prediction = self._known.get(number)
        if prediction is None:
            # Below `first`, or of an arm that is gone since the log was opened.
            return "expired"
        if row >= prediction.rows:
            return "unknown"
        if prediction.told >> row & 1:
            return "repeated"
        aged = self.max_age is not None and now - prediction.when > self.max_age
        return "expired" if aged else prediction

    def told(self, number: int, row: int) -> None:
        """Note that feedback of a row has come."""
        prediction = self._known.get(number)
        if prediction is None or prediction.complete():
            return
        prediction.told |= 1 << row
        if prediction.complete():
            prediction.said = []
            self.waiting -= 1

    def __len__(self) -> int:
        return len(self._known)
