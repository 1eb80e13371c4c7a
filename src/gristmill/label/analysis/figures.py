"""The figures of one source, and the counts that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.intervals import wilson
from gristmill.label.analysis.counts import Counts, count_right, count_votes
from gristmill.label.votes import Votes


class SourceFigures(msgspec.Struct, frozen=True):
    """Figures of one source over n rows.

    Attributes:
        source: its name.
        polarity: classes that it ever votes for, in order.
        coverage: share of rows on which it votes.
        overlaps: share of rows on which it and another vote.
        conflicts: share of rows on which it and another vote for different classes.
        alone: share of rows on which only it votes: what would be lost without it.
        redundancy: share of its votes to which another source says the same; None without votes.
        failed: rows on which it raised.
        correct, incorrect: votes on gold rows that are right and wrong; None without gold.
        accuracy, low, high: correct share of its votes on gold rows with its 95 % Wilson interval;
            None where it did not vote on a gold row.
        estimated: mean probability, by the label model, of the classes it votes for; None without
            a model or votes.
        seconds: that it takes for 1,000 rows; None where nobody measured.
    """

    source: str
    polarity: tuple[str, ...]
    coverage: float
    overlaps: float
    conflicts: float
    alone: float
    redundancy: float | None
    failed: int
    correct: int | None = None
    incorrect: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    estimated: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Tally:
    """What m sources did on n rows; `a + b` is that of both runs of rows.

    Attributes:
        rows: n.
        gold_rows: those of known class.
        counts: of votes.
        right, judged: int64[m], votes on rows of known class that are right, and all of them.
        failed: int64[m], rows on which a source raised.
        believed: float64[m], the sum of a model's probabilities of the classes voted for; None
            without a model.
    """

    rows: int
    gold_rows: int
    counts: Counts
    right: NDArray[np.int64]
    judged: NDArray[np.int64]
    failed: NDArray[np.int64]
    believed: NDArray[np.float64] | None

    @classmethod
    def of(cls, votes: Votes, truth: NDArray[np.int64], probs: NDArray[np.float64] | None) -> Tally:
        """Count votes.

        Args:
            votes: int[n, m].
            truth: int64[n], -1 where unknown.
            probs: float64[n, k] of a label model, or None.
        """
        failed = votes.failed()
        believed = None if probs is None else [_belief(c, probs) for c in votes.matrix.T]
        return cls(
            len(votes),
            int((truth >= 0).sum()),
            count_votes(votes.matrix, len(votes.classes)),
            *count_right(votes.matrix, truth),
            np.array([failed.get(name, 0) for name in votes.names], np.int64),
            None if believed is None else np.array(believed),
        )

    def __add__(self, other: Tally) -> Tally:
        both = self.believed is not None and other.believed is not None
        return Tally(
            self.rows + other.rows,
            self.gold_rows + other.gold_rows,
            self.counts + other.counts,
            self.right + other.right,
            self.judged + other.judged,
            self.failed + other.failed,
            self.believed + other.believed if both else None,  # type: ignore[operator]
        )

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of the rows that are covered, voted on by two or more, and in conflict."""
        rows, counts = max(self.rows, 1), self.counts
        return counts.covered / rows, counts.many / rows, counts.clash / rows

    def figures(
        self, names: Sequence[str], classes: Sequence[str], seconds: Mapping[str, float]
    ) -> tuple[SourceFigures, ...]:
        """Return the figures of each source.

        Args:
            names: of the m sources.
            classes: the k names.
            seconds: source -> seconds for the n rows, where measured.
        """
        counts, rows = self.counts, max(self.rows, 1)
        voted = counts.said.sum(axis=1)
        return tuple(
            SourceFigures(
                source=name,
                polarity=tuple(
                    classes[label] for label in np.flatnonzero(counts.said[index]).tolist()
                ),
                coverage=float(voted[index] / rows),
                overlaps=float(counts.overlaps[index] / rows),
                conflicts=float(counts.conflicts[index] / rows),
                alone=float((voted[index] - counts.overlaps[index]) / rows),
                redundancy=float(counts.echoed[index] / voted[index]) if voted[index] else None,
                failed=int(self.failed[index]),
                estimated=self._estimated(index, int(voted[index])),
                seconds=seconds[name] * 1000 / rows if name in seconds else None,
                **_on_gold(int(self.right[index]), int(self.judged[index]), self.gold_rows > 0),
            )
            for index, name in enumerate(names)
        )

    def _estimated(self, index: int, voted: int) -> float | None:
        return None if self.believed is None or not voted else float(self.believed[index] / voted)


def _on_gold(correct: int, said: int, there_is_gold: bool) -> dict[str, Any]:
    if not there_is_gold:
        return {}
    counted: dict[str, Any] = {"correct": correct, "incorrect": said - correct}
    if said:
        interval = wilson(correct, said)
        counted |= {"accuracy": interval.value, "low": interval.low, "high": interval.high}
    return counted


def _belief(column: NDArray[np.integer], probs: NDArray[np.float64]) -> float:
    """Return the sum of the probabilities of the classes that a source votes for."""
    rows = np.flatnonzero(column >= 0)
    return float(probs[rows, column[rows]].sum())
