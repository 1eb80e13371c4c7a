"""What class a group of rows leans to, by gold or by a model's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.intervals import wilson
from gristmill.label.analysis.traits import Holders

_FEW = 5
_SURE = 0.99


class Leaning(msgspec.Struct, frozen=True):
    """The class that most rows of a group have.

    Attributes:
        label: its name.
        share: of the judged rows that have it, with the 95 % Wilson interval `low` to `high`.
        judged: gold rows, or rows with the model's word.
        judge: "gold" or "model".
        clear: whether more than half of the rows have it, and more than of all rows, by the lower
            end of the 99 % interval.
    """

    label: str
    share: float
    low: float
    high: float
    judged: int
    judge: str
    clear: bool


@dataclass(frozen=True)
class Opinion:
    """What is known of the class of n rows.

    Attributes:
        classes: k names.
        truth: int64[n], gold, -1 where unknown.
        probs: float64[n, k], a model's word, or None. A label model knows nothing of rows without
            votes: this wants a model of the rows themselves, such as one trained on the labels.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    probs: NDArray[np.float64] | None = None

    def of(self, has: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Leaning | None:
        """Return what rows with a trait lean to.

        Gold decides where five or more rows with the trait have it, covered or not, since a
        function would vote on all of them; else the model on the rows of the group.

        Args:
            has: bool[n], rows with the trait.
            rows: bool[n], those of them in the group.
        """
        gold = np.bincount(self.truth[has & (self.truth >= 0)], minlength=len(self.classes))
        if gold.sum() >= _FEW or (self.probs is None and gold.sum()):
            every = np.bincount(self.truth[self.truth >= 0], minlength=len(self.classes))
            return self._leaning(gold, every, "gold")
        if self.probs is None or not rows.any():
            return None
        return self._leaning(self.probs[rows].sum(axis=0), self.probs.sum(axis=0), "model")

    def margins(self, holders: Holders, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how clearly the rows with each trait lean to a class, float64[t]: 0 if not
        clearly, 1 if all do and are many.

        Args:
            holders: which rows have which traits.
            rows: int64[r], which of the n rows those are.
        """
        truth = self.truth[rows]
        if (truth >= 0).any():
            known = truth[holders.row] >= 0
            cells = holders.trait[known] * len(self.classes) + truth[holders.row[known]]
            size = len(holders.traits) * len(self.classes)
            counts: NDArray[Any] = np.bincount(cells, minlength=size)
            every = np.bincount(truth[truth >= 0], minlength=len(self.classes))
        elif self.probs is not None:
            probs = self.probs[rows]
            summed = [
                np.bincount(holders.trait, column[holders.row], len(holders.traits))
                for column in probs.T
            ]
            counts, every = np.array(summed).T, probs.sum(axis=0)
        else:
            return np.zeros(len(holders.traits))
        return _margins(counts.reshape(-1, len(self.classes)), every / every.sum())

    def _leaning(
        self, counts: NDArray[np.generic], every: NDArray[np.generic], judge: str
    ) -> Leaning:
        best = int(np.argmax(counts))
        total = float(counts.sum())
        interval = wilson(float(counts[best]), total)
        usual = float(every[best]) / float(every.sum())
        return Leaning(
            label=self.classes[best],
            share=interval.value,
            low=interval.low,
            high=interval.high,
            judged=round(total),
            judge=judge,
            clear=wilson(float(counts[best]), total, _SURE).low > max(0.5, usual),
        )


def _margins(counts: NDArray[Any], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the lower end of the best class's share lies above what is usual, of what is
    possible: float64[t].
    """
    best, total = counts.argmax(axis=1), counts.sum(axis=1)
    floor = np.maximum(usual[best], 0.5)
    least = np.array(
        [
            wilson(most, trials, _SURE).low
            for most, trials in zip(counts.max(axis=1).tolist(), total.tolist(), strict=True)
        ]
    )
    margin = (least - floor) / np.maximum(1 - floor, 1e-9)
    return np.where(total > 0, np.clip(margin, 0.0, 1.0), 0.0)
