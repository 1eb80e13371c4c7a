"""A place for one thing: what comes takes the place of what nobody has taken yet."""

from __future__ import annotations

import asyncio
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Taken(NamedTuple, Generic[T]):
    """A thing, and how many came before it that nobody has taken."""

    value: T
    dropped: int


class Newest(Generic[T]):
    """Hands on the newest thing alone, between tasks of one event loop."""

    def __init__(self) -> None:
        self._dropped = 0
        self._value: T | None = None
        self._there = asyncio.Event()

    def put(self, value: T) -> None:
        """Put a thing there, in the place of the one that is there."""
        self._dropped += self._value is not None
        self._value = value
        self._there.set()

    @property
    def unread(self) -> int:
        """How many things came since the last one was taken."""
        return self._dropped + (self._value is not None)

    async def wait(self) -> None:
        """Wait until something is there."""
        await self._there.wait()

    def take(self) -> Taken[T]:
        """Take what is there.

        Raises:
            LookupError: nothing is there.
        """
        if self._value is None:
            raise LookupError
        taken = Taken(self._value, self._dropped)
        self._value, self._dropped = None, 0
        self._there.clear()
        return taken
