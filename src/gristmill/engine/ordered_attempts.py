"""Attempts under way, whose outcomes come in the order of the items: what engines share that start
items themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from gristmill.engine.outcome import Outcome

_END = object()


class OrderedAttempts(ABC):
    """Takes items a few ahead of the outcomes, and tells outcomes in their order.

    Args:
        name: of the function, for messages.
        items: taken one by one.
        ahead: most items that are taken and not told yet.

    Attributes:
        busy: what works on which item.
        done: number of an item -> its outcome, or what `_outcome` makes one of, until its turn.
        taken, given: how many items were taken, and how many outcomes told.
        more: whether there may be further items.
    """

    def __init__(self, name: str, items: Iterator[Any], ahead: int) -> None:
        self.name, self.items, self.ahead = name, items, ahead
        self.busy: dict[Any, Any] = {}
        self.done: dict[int, Any] = {}
        self.taken = self.given = 0
        self.more = True

    def outcomes(self) -> Iterator[Outcome[Any]]:
        """Yield the outcomes in order."""
        while True:
            self._hand_out()
            if self.given in self.done:
                outcome = self._outcome(self.done.pop(self.given))
                self.given += 1
                yield outcome
            elif self.busy:
                self._collect()
            else:
                return

    @abstractmethod
    def _has_room(self) -> bool:
        """Tell whether one more item may be started."""

    @abstractmethod
    def _start(self, number: int, item: Any) -> None:
        """Start an item, or note in `done` why that cannot be."""

    @abstractmethod
    def _collect(self) -> None:
        """Wait until something that is busy has ended, and note it in `done`."""

    def _outcome(self, result: Any) -> Outcome[Any]:
        """Return the outcome of the item whose turn it is."""
        found: Outcome[Any] = result
        return found

    def _place(self, number: int) -> str:
        """Name an item in messages."""
        return f"{self.name}, item {number}"

    def _hand_out(self) -> None:
        while self.more and self._has_room() and self.taken - self.given < self.ahead:
            item = next(self.items, _END)
            if item is _END:
                self.more = False
                return
            number, self.taken = self.taken, self.taken + 1
            self._start(number, item)
