"""What all engines share: `map`, told once in terms of `attempts`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from gristmill.core.closing import Closing
from gristmill.engine.outcome import Outcome, values

T = TypeVar("T")
R = TypeVar("R")


class Mapping(Closing, ABC):
    """A base of engines: whoever can attempt items can map them.

    Attributes:
        shares_files: see `Engine`.
    """

    shares_files = False

    @abstractmethod
    def attempts(
        self, fn: Callable[[T], R], items: Iterable[T], /
    ) -> Generator[Outcome[R], None, None]:
        """See `Engine.attempts`."""

    def map(self, fn: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """See `Engine.map`."""
        return values(self.attempts(fn, items))
