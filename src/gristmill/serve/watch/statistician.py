"""Who makes, keeps and compares statistics for the watch: handed in, never imported.

Serving stands beside validation and may not know it. What lies above both, the commands and
pipelines, says who watches a bundle's model (`statisticians`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle

Statistics: TypeAlias = Any
"""What is known of some rows; what it is only the statistician knows."""


class Change(msgspec.Struct, frozen=True):
    """One way in which what is served differs from what the model was trained on.

    Attributes:
        code: the kind of change, as in findings: "drift", "presence_change", "unit_change" ...
        severity: "error", "warning" or "info".
        feature: the column.
        message: what has changed, in plain English, with the figures.
    """

    code: str
    severity: str
    feature: str
    message: str


class Distance(msgspec.Struct, frozen=True):
    """How far the distribution of a column lies from the one in training.

    Attributes:
        distance: in [0, 1].
        threshold: the least that matters.
        floor: what chance does not exceed.
        alarm: whether it matters and is no chance.
        over: what of the column was compared: "numbers", "values", of texts "lengths", "charset",
            "scripts", "patterns" or "shapes".
    """

    feature: str
    distance: float
    threshold: float
    floor: float
    alarm: bool
    over: str = ""


class Compared(msgspec.Struct, frozen=True):
    """What a comparison with the training data gave, and of how many rows."""

    distances: list[Distance]
    changes: list[Change]
    rows: int = 0


class Statistician(Protocol):
    """Makes, adds up, keeps and compares statistics."""

    def profile(self, columns: Mapping[str, Sequence[object]]) -> Statistics:
        """Return the statistics of rows, given by column; None is a missing value."""

    def add(self, one: Statistics, two: Statistics) -> Statistics:
        """Return the statistics of both; bounded, however often something is added."""

    def save(self, statistics: Statistics, folder: Path) -> None:
        """Write statistics into an empty folder."""

    def load(self, folder: Path) -> Statistics:
        """Read what `save` wrote.

        Raises:
            DataError: it is damaged, or of another version.
        """

    def compare(self, statistics: Statistics) -> Compared:
        """Compare with the training data."""


Statisticians: TypeAlias = "Callable[[Bundle], Statistician | None]"
"""Returns who watches the model of a bundle; None where there is nothing to compare with."""

_statisticians: ContextVar[Statisticians | None] = ContextVar("statisticians", default=None)


@contextmanager
def statisticians(find: Statisticians | None) -> Iterator[None]:
    """Let `statistician_of` ask `find` in this block, and in every task that begins in it."""
    token = _statisticians.set(find)
    try:
        yield
    finally:
        _statisticians.reset(token)


def statistician_of(bundle: Bundle) -> Statistician | None:
    """Return who watches a bundle's model; None where there is nothing to compare with, or nobody.

    Raises:
        GristmillError: what the bundle says of its training data cannot be read.
    """
    find = _statisticians.get()
    return None if find is None else find(bundle)
