"""Which few traits tell the most about a set of rows: a greedy set cover (Chvátal 1979)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.label.analysis.log_odds import over_represented
from gristmill.label.analysis.traits import Holders, Trait

_LEAST_Z = 3.0
_LEAST_LIFT = 2.0
_COMMON = 0.5
_LEANING_SHARE = 2 / 3
_COMPANIONS = 3
_OFTEN = 0.25


@dataclass(frozen=True, slots=True)
class Pick:
    """A trait that was picked.

    Attributes:
        trait: it.
        score: z-score of the log-odds ratio when it was picked.
        also: other words that many of the target rows with it have, and few of those without.
    """

    trait: Trait
    score: float
    also: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """Picks traits one after another, each for the rows that have none of those before.

    As long as there are traits whose rows lean clearly to one class, and at most for two thirds of
    the picks, the next is the one that would label the most rows surely: target rows times margin.
    Then it is the trait most over-represented in the target, by z-score, at least twice as frequent
    there as elsewhere; where there is nothing to compare with, the most frequent one. A trait that
    more than half of all rows have tells nothing, and a picked trait's rows leave both sides.

    Attributes:
        holders: which of r rows have which of t traits.
        target: bool[r], the rows to tell about.
        other: bool[r], those to tell them from.
        margins: float64[t], how clearly the rows with a trait lean to a class.
        most: how many to pick at most.
        least: target rows that must be left for a trait to be picked.
    """

    holders: Holders
    target: NDArray[np.bool_]
    other: NDArray[np.bool_]
    margins: NDArray[np.float64]
    most: int
    least: int

    def picks(self) -> list[Pick]:
        """Return the picks, in the order made."""
        return [
            Pick(self.holders.traits[place], score, self._companions(place))
            for place, score in self._places()
        ]

    def _places(self) -> Iterator[tuple[int, float]]:
        left, right = self.target.copy(), self.other.copy()
        everywhere = self.holders.count(np.ones(self.holders.rows, bool))
        telling = everywhere <= _COMMON * self.holders.rows
        for step in range(self.most if self.holders.traits else 0):
            inside = self.holders.count(left)
            scores, contrast = self._contrast(inside, left, right)
            gains = inside * self.margins if step < self.most * _LEANING_SHARE else 0.0 * inside
            usable = telling & (inside >= self.least)
            ranks = np.where(usable, gains if (gains * usable).any() else contrast, 0.0)
            best = int(np.argmax(ranks))
            if ranks[best] <= 0:
                return
            yield best, float(scores[best])
            telling &= ~self._alternatives(best)
            gone = self.holders.row[self.holders.trait == best]
            left[gone] = right[gone] = False

    def _alternatives(self, place: int) -> NDArray[np.bool_]:
        """Return the traits that say nearly the same: other ranges of the same numbers."""
        picked = self.holders.traits[place]
        if picked.kind not in ("length", "range"):
            return np.zeros(len(self.holders.traits), bool)
        same = (picked.kind, picked.column)
        return np.array([(each.kind, each.column) == same for each in self.holders.traits])

    def _contrast(
        self, inside: NDArray[np.int64], left: NDArray[np.bool_], right: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the z-score of each trait, and its rank: 0 where it is not over-represented."""
        rows, others = int(left.sum()), int(right.sum())
        outside = self.holders.count(right)
        scores = over_represented(inside, outside, rows, others)
        if not others:
            return scores, inside.astype(np.float64)
        lifted = inside * others >= _LEAST_LIFT * outside * rows
        return scores, np.where(lifted & (scores >= _LEAST_Z), scores, 0.0)

    def _companions(self, place: int) -> tuple[str, ...]:
        mine = np.zeros(self.holders.rows, bool)
        mine[self.holders.row[self.holders.trait == place]] = True
        mine &= self.target
        rest = self.target & ~mine
        inside, outside = self.holders.count(mine), self.holders.count(rest)
        scores = over_represented(inside, outside, int(mine.sum()), int(rest.sum()))
        scores[inside < _OFTEN * mine.sum()] = 0.0
        shown: list[Trait] = []
        for other in np.argsort(-scores, kind="stable").tolist():
            if scores[other] < _LEAST_Z or len(shown) == _COMPANIONS:
                break
            trait = self.holders.traits[other]
            known = [self.holders.traits[place], *shown]
            if trait.words and not any(trait.words & each.words for each in known):
                shown.append(trait)
        return tuple(str(trait.value) for trait in shown)
