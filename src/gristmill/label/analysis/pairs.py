"""How sources agree two by two, and how much more than independent ones would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.intervals import wilson
from gristmill.label.analysis.bitmaps import blocks, common, pack_rows

_SAME = 0.9


class SourcePair(msgspec.Struct, frozen=True):
    """Two sources and the rows on which they meet.

    Attributes:
        first, second: their names.
        identity: share of the rows where either votes on which both say the same.
        rows: on which they say the same.
        both: rows on which both vote.
        agreement: share of those on which they say the same.
        expected: rows on which they would say the same, were they independent given the class.
        excess: how far the rows on which they do lie above that: 0 for independent sources, 1 where
            one says the same wherever the other votes, below 0 for sources that avoid each other.
        low: the same for the lower end of the 95 % Wilson interval of the rows; above 0 the excess
            is more than chance.
    """

    first: str
    second: str
    identity: float
    rows: int
    both: int
    agreement: float
    expected: float
    excess: float
    low: float


class Meeting(msgspec.Struct, frozen=True, array_like=True):
    """Counts over two sources that ever vote on the same row.

    Attributes:
        first, second: their positions, first < second.
        both: rows on which both vote.
        same: on which they say the same.
        judged: those of `same` whose class is known.
        expected, most: what `judged` would be for independent sources, and the most it can be.
    """

    first: int
    second: int
    both: int
    same: int
    judged: int
    expected: float
    most: int


class SourcePairs(msgspec.Struct, frozen=True):
    """All pairs of m sources that meet.

    Attributes:
        names: the m sources.
        voted: rows on which each votes.
        known: rows of known class.
        meetings: pairs that ever vote on the same row.
    """

    names: tuple[str, ...]
    voted: tuple[int, ...]
    known: int
    meetings: tuple[Meeting, ...]

    def __iter__(self) -> Iterator[SourcePair]:
        """Yield a `SourcePair` for each two sources that meet."""
        for met in self.meetings:
            either = self.voted[met.first] + self.voted[met.second] - met.both
            least = wilson(met.judged, self.known).low * self.known
            yield SourcePair(
                first=self.names[met.first],
                second=self.names[met.second],
                identity=met.same / either,
                rows=met.same,
                both=met.both,
                agreement=met.same / met.both,
                expected=met.expected,
                excess=_beyond(met.judged, met),
                low=_beyond(least, met),
            )

    def alike(self) -> tuple[SourcePair, ...]:
        """Return pairs that say the same on nine tenths of the rows where either votes."""
        return tuple(pair for pair in self if pair.rows and pair.identity >= _SAME)

    def partners(self) -> dict[str, SourcePair]:
        """Return for each source the pair whose excess is surest, where one is more than chance."""
        found: dict[str, SourcePair] = {}
        for pair in self:
            for name in (pair.first, pair.second):
                if pair.low > 0 and (name not in found or pair.low > found[name].low):
                    found[name] = pair
        return found

    def agreement(self) -> tuple[tuple[float | None, ...], ...]:
        """Return m x m, the share of common rows on which two agree; None where they never meet."""
        voted: list[float | None] = [1.0 if rows else None for rows in self.voted]
        return self._square([pair.agreement for pair in self], voted)

    def excess(self) -> tuple[tuple[float | None, ...], ...]:
        """Return m x m, the excess of each two; None where they never meet, or cannot agree."""
        values = [_beyond(met.judged, met) if met.most else None for met in self.meetings]
        return self._square(values, [None] * len(self.names))

    def _square(
        self, values: Sequence[float | None], diagonal: list[float | None]
    ) -> tuple[tuple[float | None, ...], ...]:
        table: list[list[float | None]] = [[None] * len(self.names) for _ in self.names]
        for met, value in zip(self.meetings, values, strict=True):
            table[met.first][met.second] = table[met.second][met.first] = value
        for source, value in enumerate(diagonal):
            table[source][source] = value
        return tuple(map(tuple, table))


@dataclass(frozen=True)
class PairCounts:
    """Counts of rows on which m sources meet; `a + b` are those of both runs of rows.

    Attributes:
        both, same, judged: int64[m, m], on which two vote, say the same, and do on rows of known
            class.
        answers: int64[k, m, k + 1], how often a source gave each answer on the rows taken to have
            each class; abstentions first.
    """

    both: NDArray[np.int64]
    same: NDArray[np.int64]
    judged: NDArray[np.int64]
    answers: NDArray[np.int64]

    @classmethod
    def of(cls, matrix: NDArray[np.integer], classes: int, of_row: NDArray[np.int64]) -> PairCounts:
        """Count rows.

        Args:
            matrix: int[n, m].
            classes: k.
            of_row: int64[n], the class that each row is taken to have, -1 where unknown.
        """
        sources = matrix.shape[1]
        both, same, judged = np.zeros((3, sources, sources), np.int64)
        for block in blocks(matrix):
            known = pack_rows(of_row[block.rows] >= 0, block.words)
            voted = np.zeros((sources, block.words), np.uint64)
            for _, chosen, cells in block.by_class(classes):
                voted[chosen] |= cells
                both_ways = np.ix_(chosen, chosen)
                same[both_ways] += common(cells)
                judged[both_ways] += common(cells & known)
            both += common(voted)
        return cls(both, same, judged, _answers_by_class(matrix, classes, of_row))

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(
            self.both + other.both,
            self.same + other.same,
            self.judged + other.judged,
            self.answers + other.answers,
        )

    def pairs(self, names: tuple[str, ...]) -> SourcePairs:
        """Say how often sources meet and agree, and how often they should by their accuracies.

        Given the class y, independent sources would both say l on c(l, y) d(l, y) / n(y) rows, with
        c and d the rows of the class on which either says it (Dawid and Skene 1979). That
        abstaining is one of the things that a source may do given the class is what makes this tell
        of sources that only ever vote for one class: they agree wherever they meet, but may meet
        too often.
        """
        expected, most = self._independent()
        both, same, judged = self.both, self.same, self.judged
        return SourcePairs(
            names=names,
            voted=tuple(int(count) for count in np.diag(both)),
            known=int(self.answers[:, 0].sum()),
            meetings=tuple(
                Meeting(
                    first,
                    second,
                    int(both[first, second]),
                    int(same[first, second]),
                    int(judged[first, second]),
                    float(expected[first, second]),
                    int(most[first, second]),
                )
                for first, second in np.argwhere(np.triu(both, k=1) > 0).tolist()
            ),
        )

    def _independent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return on how many rows of known class two sources are expected to say the same, and on
        how many they could at most: float64[m, m] each.
        """
        expected, most = np.zeros((2, *self.both.shape))
        for counts in self.answers:
            rows = counts[0].sum()
            spoken = counts[:, 1:].astype(np.float64)
            expected += spoken @ spoken.T / max(rows, 1)
            most += sum(np.minimum.outer(c, c) for c in spoken.T if c.any())
        return expected, most


def source_pairs(
    names: tuple[str, ...], matrix: NDArray[np.integer], classes: int, of_row: NDArray[np.int64]
) -> SourcePairs:
    """Return how m sources meet on n rows; see `PairCounts`."""
    return PairCounts.of(matrix, classes, of_row).pairs(names)


def _answers_by_class(
    matrix: NDArray[np.integer], classes: int, of_row: NDArray[np.int64]
) -> NDArray[np.int64]:
    known = np.flatnonzero(of_row >= 0)
    cell = of_row[known] * (classes + 1)
    size = classes * (classes + 1)
    said = [np.bincount(cell + column[known] + 1, minlength=size) for column in matrix.T]
    return np.array(said, np.int64).reshape(-1, classes, classes + 1).transpose(1, 0, 2)


def _beyond(rows: float, met: Meeting) -> float:
    """Return how much of the way from the expected to the most possible `rows` is."""
    room = met.most - met.expected
    return (rows - met.expected) / room if room > 0 else 0.0
