"""What several annotators say together, and how often each of them is right.

Legend: a answers, r rows, j annotators, k classes, p pairs of a row and a class that it was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.intervals import wilson

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_RIGHT, _WRONG = 9.0, 1.0
"""Rows on which an annotator is believed to have been right, and wrong, before any is seen."""

_MOST_ROUNDS = 200
_TOLERANCE = 1e-6
_TIE = 1e-9


@dataclass(frozen=True)
class Consensus:
    """The class of each row that somebody answered.

    Attributes:
        rows: int64[r], ascending.
        codes: int64[r], -1 where no class that was named is more probable than all others.
        probs: float64[r], probability of that class; 1 where all answers are the same.
        disputed: bool[r], where answers differ.
        answered, shared: int64[j], rows that each annotator answered, and those of them that
            another answered too.
        right: float64[j], on how many shared rows the annotator is expected to be right.
    """

    rows: Integers
    codes: Integers
    probs: Floats
    disputed: NDArray[np.bool_]
    answered: Integers
    shared: Integers
    right: Floats

    @classmethod
    def alone(cls, codes: Integers, annotators: int) -> Consensus:
        """Take int64[n] codes, -1 for no answer, for what one annotator says, or no known one."""
        rows = np.flatnonzero(codes >= 0)
        nobody = np.zeros(annotators, np.int64)
        return cls(
            rows, codes[rows], np.ones(len(rows)), np.zeros(len(rows), bool),
            nobody + len(rows), nobody, nobody.astype(np.float64),
        )  # fmt: skip

    def quality(self, names: tuple[str, ...]) -> pl.DataFrame:
        """Return how often each annotator is right.

        Columns: `annotator`; `rows`, answered; `shared`, those of them that another answered too;
        `accuracy`, the share of shared rows on which the annotator is expected to be right, null
        without any; `low` and `high`, the ends of its 95 % interval (Wilson).
        """
        found = [wilson(*each) for each in zip(self.right, self.shared, strict=True)]
        schema = {"annotator": pl.String, "rows": pl.Int64, "shared": pl.Int64}
        schema |= dict.fromkeys(("accuracy", "low", "high"), pl.Float64)
        lines = [
            (name, rows, shared, each.value if shared else None, each.low, each.high)
            for name, rows, shared, each in zip(
                names, self.answered.tolist(), self.shared.tolist(), found, strict=True
            )
        ]
        return pl.DataFrame(lines, schema=schema, orient="row")


def consensus(
    rows: Integers, annotators: Integers, codes: Integers, classes: int, count: int
) -> Consensus:
    """Find the most probable class of each row.

    An annotator is right with one probability, whatever the class, and wrong answers are spread
    evenly over the other classes (Dawid & Skene 1979, with one parameter each); classes are equally
    probable. The accuracies are found by expectation-maximisation, with ten pseudo-rows for each
    annotator, nine of them right. Rows on which all answers are the same keep that answer.

    Args:
        rows: int64[a], the row that each answer is about.
        annotators: int64[a], who gave it, 0..j-1; one answer at most for each row and annotator.
        codes: int64[a], the answers, 0..k-1.
        classes: k.
        count: j.
    """
    answers = _Answers.of(annotators, rows * classes + codes, classes, count)
    shared = answers.shared
    accuracy = _accuracy(shared)
    found, probs = answers.winners(answers.posterior(accuracy))
    return Consensus(
        rows=answers.rows,
        codes=found,
        probs=probs,
        disputed=answers.named > 1,
        answered=answers.counts,
        shared=shared.counts,
        right=shared.right(shared.posterior(accuracy)),
    )


def _accuracy(shared: _Answers) -> Floats:
    """Return P(right) of each annotator, float64[j].

    Rows with one answer say nothing of it: they are as probably right as their annotator.
    """
    accuracy = np.full(shared.count, _RIGHT / (_RIGHT + _WRONG))
    for _ in range(_MOST_ROUNDS):
        right = shared.right(shared.posterior(accuracy))
        moved = (right + _RIGHT) / (shared.counts + _RIGHT + _WRONG)
        step = np.abs(moved - accuracy).max(initial=0.0)
        accuracy = moved
        if step < _TOLERANCE:
            break
    return accuracy


@dataclass(frozen=True)
class _Answers:
    """Answers, by distinct pairs of a row and a class.

    Attributes:
        annotators: int64[a].
        pair: int64[a], the pair of each answer.
        pairs: int64[p], row x k + class, ascending.
        classes, count: k and j.
    """

    annotators: Integers
    pair: Integers
    pairs: Integers
    classes: int
    count: int

    @classmethod
    def of(cls, annotators: Integers, keys: Integers, classes: int, count: int) -> _Answers:
        pairs, pair = np.unique(keys, return_inverse=True)
        return cls(annotators, pair.ravel(), pairs, classes, count)

    @cached_property
    def starts(self) -> Integers:
        """The first pair of each row: int64[r]."""
        return np.flatnonzero(np.diff(self.pairs // self.classes, prepend=-1))

    @cached_property
    def named(self) -> Integers:
        """How many classes each row was given: int64[r]."""
        return np.diff(self.starts, append=len(self.pairs))

    @property
    def rows(self) -> Integers:
        """The rows, ascending: int64[r]."""
        return self.pairs[self.starts] // self.classes

    @cached_property
    def counts(self) -> Integers:
        """How many rows each annotator answered: int64[j]."""
        return np.bincount(self.annotators, minlength=self.count)

    @cached_property
    def shared(self) -> _Answers:
        """The answers on rows that several annotators answered."""
        row = np.repeat(np.arange(len(self.starts)), self.named)[self.pair]
        several = np.bincount(row, minlength=len(self.starts))[row] > 1
        keys = self.pairs[self.pair[several]]
        return _Answers.of(self.annotators[several], keys, self.classes, self.count)

    def posterior(self, accuracy: Floats) -> Floats:
        """Return the probability of each pair's class, float64[p]."""
        if not len(self.pairs):
            return np.empty(0)
        odds = np.log(accuracy) - np.log1p(-accuracy) + np.log(self.classes - 1)
        score = np.bincount(self.pair, odds[self.annotators], len(self.pairs))
        # A class that nobody named has score 0.
        top = np.maximum(np.maximum.reduceat(score, self.starts), 0.0)
        power = np.exp(score - np.repeat(top, self.named))
        total = np.add.reduceat(power, self.starts) + (self.classes - self.named) * np.exp(-top)
        return np.asarray(power / np.repeat(total, self.named))

    def right(self, posterior: Floats) -> Floats:
        """Return how many answers of each annotator are expected to be right, float64[j]."""
        return np.asarray(
            np.bincount(self.annotators, posterior[self.pair], self.count), np.float64
        )

    def winners(self, posterior: Floats) -> tuple[Integers, Floats]:
        """Return the class of each row, -1 where it is open, and its probability."""
        if not len(self.pairs):
            return np.empty(0, np.int64), np.empty(0)
        best = np.maximum.reduceat(posterior, self.starts)
        leading = np.flatnonzero(posterior >= np.repeat(best, self.named) - _TIE)
        first = np.searchsorted(leading, self.starts)
        leaders = np.diff(first, append=len(leading))
        left = 1 - np.add.reduceat(posterior, self.starts)
        unnamed = left / np.maximum(self.classes - self.named, 1)
        agreed = self.named == 1
        decided = agreed | ((leaders == 1) & (best > unnamed + _TIE))
        codes = np.where(decided, self.pairs[leading[first]] % self.classes, -1)
        probs: Floats = np.where(agreed, 1.0, best)
        return codes, probs
