"""Keys of a table that repeat an earlier one, told where the parts of the table meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gristmill.validate.checks.places import Part, Places
from gristmill.validate.checks.repeated import HashedKeys, Memory
from gristmill.validate.checks.seen import SHOWN_EXAMPLES, Seen

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXAMPLES = SHOWN_EXAMPLES + 1
"""One more than is shown tells that there are more."""


@dataclass(frozen=True)
class PartKeys:
    """The keys of one part.

    Attributes:
        keys: their hashes, with the places of keys in the part.
        total: of how many cells or rows a finding speaks.
        rows: the row of each place: uint32[n]; None where the places are rows.
    """

    part: Part
    keys: HashedKeys
    total: int
    rows: NDArray[np.uint32] | None = None


@dataclass
class RepeatedKeys:
    """Finds the keys that were there before.

    Parts are taken in any process, in the order of the table; the one in which all of them meet
    settles them. Until then a key takes 12 bytes, and a repeated one 8 more.

    Attributes:
        found: the cells or rows that repeat an earlier key, of all parts settled so far.
        examples: values of the first different keys among them, at most 6.
    """

    shows: bool = True
    found: Seen = field(default_factory=Seen)
    examples: list[object] = field(default_factory=list)
    _taken: list[PartKeys] = field(default_factory=list)
    _memory: Memory = field(default_factory=Memory)
    _known: list[int] = field(default_factory=list)
    _unshown: list[tuple[int, int]] = field(default_factory=list)

    def take(self, keys: PartKeys) -> None:
        """Take the next part."""
        self._taken.append(keys)

    def merge(self, later: RepeatedKeys) -> None:
        """Take the parts that another process has taken and not settled."""
        self._taken += later._taken

    def settle(self) -> None:
        """Compare what was taken with all before, and remember it."""
        for keys in self._taken:
            places, hashes = self._memory.repeats(keys.keys)
            mask = np.zeros(keys.part.rows, dtype=bool)
            mask[places if keys.rows is None else keys.rows[places]] = True
            rows = Places.of(pl.Series(mask, dtype=pl.Boolean), keys.part)
            self.found += Seen(len(places), keys.total, (), rows, exact=self._memory.exact)
            if self.shows and len(places) and len(self._known) < _EXAMPLES:
                self._choose(keys.part.number, places, hashes)
        self._taken = []

    def unshown(self) -> list[tuple[int, int]]:
        """The examples without a value: the number of a part, and the place of a key in it."""
        return list(self._unshown)

    def show(self, values: Sequence[object]) -> None:
        """Give the values of the examples that had none."""
        self.examples += values
        self._unshown = []

    def told(self, recalled: Seen) -> Seen:
        """What was found, with its examples; `recalled` where there were only statistics."""
        return replace(recalled + self.found, values=(*recalled.values, *self.examples))

    def _choose(self, number: int, places: NDArray[np.uint32], hashes: NDArray[np.uint64]) -> None:
        different, firsts = np.unique(hashes, return_index=True)
        for at in np.argsort(firsts).tolist():
            if len(self._known) == _EXAMPLES:
                return
            if int(different[at]) not in self._known:
                self._known.append(int(different[at]))
                self._unshown.append((number, int(places[firsts[at]])))
