"""Whether comparing a unit's numbers with the kept ones is worth its time."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.incremental.execution.unit import Unit
from gristmill.incremental.planning.cost_table import CostTable

_REST = 4


class Yields:
    """Keeps account, unit by unit, of what comparing took and what it saved the units behind.

    What is kept back of a unit's map saves its readers their share of that map. A unit for which
    that was less than comparing took rests: its numbers are written as they come. Which units rest
    is decided anew whenever all values are those of a whole frame (`renew`), never between: numbers
    that wait must go on being compared. After four such times a unit is tried again, and all are
    once thresholds have grown (`try_all`).

    Args:
        units: of the graph.
        table: what they cost without comparing.
    """

    def __init__(self, units: Sequence[Unit], table: CostTable) -> None:
        # Of each unit, the seconds that its readers take for one pixel of its map.
        self._worth = [_readers_seconds(unit, units, table) for unit in units]
        self._balance = [0.0] * len(units)
        self._rests = [0] * len(units)

    def compares(self, number: int) -> bool:
        """Whether a unit's numbers are compared at present."""
        return self._worth[number] > 0.0 and not self._rests[number]

    def observe(self, number: int, seconds: float, kept_back: int) -> None:
        """Take in what comparing a unit's numbers came to.

        Args:
            number: of the unit.
            seconds: that it took.
            kept_back: pixels that were reached, less those that were let through.
        """
        self._balance[number] += kept_back * self._worth[number] - seconds

    def renew(self) -> None:
        """Decide which units rest from here on; all values must be those of a whole frame."""
        for number, balance in enumerate(self._balance):
            if balance < 0.0:
                self._rests[number] = _REST
            elif self._rests[number]:
                self._rests[number] -= 1
            self._balance[number] = 0.0

    def try_all(self) -> None:
        """Let no unit rest; all values must be those of a whole frame."""
        self._balance = [0.0] * len(self._balance)
        self._rests = [0] * len(self._rests)


def _readers_seconds(unit: Unit, units: Sequence[Unit], table: CostTable) -> float:
    if len(unit.shape) != 3 or not unit.regional:
        return 0.0
    dense = sum(
        seconds
        for reader, seconds in zip(units, table.dense, strict=True)
        if reader.regional and unit.root in reader.sources
    )
    return dense / (unit.height * unit.width)
