"""What came of one item: a value, or the error that took its place."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gristmill.core.errors import GristmillError

R = TypeVar("R")


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as a cause, never raised alone
    """The traceback of a worker as text, shown as the cause of the error it led to."""

    def __str__(self) -> str:
        return f"\n\nin a worker process:\n{self.args[0]}"


@dataclass(slots=True)
class Outcome(Generic[R]):
    """What came of an item: a value, or an error of ours.

    Attributes:
        value: what the function returned; None where there is an error.
        error: why there is no value: what the function raised, or how its worker died.
        trace: the traceback that the error had in the worker, where there was one.
    """

    value: R | Any = None
    error: GristmillError | None = None
    trace: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    def get(self) -> R:
        """Return the value, or raise the error with the worker's traceback as its cause."""
        if self.error is None:
            return self.value
        if self.trace:
            raise self.error from RemoteTraceback(self.trace)
        raise self.error


def values(outcomes: Generator[Outcome[R], None, None]) -> Iterator[R]:
    """Yield the values up to the first error, and raise that; what is under way then ends."""
    with closing(outcomes):
        for outcome in outcomes:
            yield outcome.get()
