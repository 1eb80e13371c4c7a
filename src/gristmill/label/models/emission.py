"""Emission models of Dawid-Skene, from one accuracy per source to a full confusion matrix.

All are log-linear, and nested: source j answers o (a class, or abstain) on rows of class y with
probability E[j, o, y] = b[j, o] l[j, o] / Z[j, y], where l counts only if o = y, and Z makes
the answers sum to 1.

- "accuracy": l[j] is one number for the source. Its votes have frequencies b of their own, so a
  source that votes for a single class is no exception. It is the generative model of Ratner et al.
  2016 (Data Programming, section 3) with a propensity per class.
- "class": l[j, o] is a number per class.
- "confusion": E is free (Dawid & Skene 1979).

The maximum of the likelihood has the right totals: each answer of a source as often as it gave it,
and its right answers (together, or by class) as many as the posterior says. Iterative scaling
(Darroch & Ratcliff 1972) finds it, in O(m k) a step, without ever losing likelihood.

Legend: m sources, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

Emission: TypeAlias = Literal["accuracy", "class", "confusion"]
"""What a source's answers depend on; see `DawidSkene`."""

_SWEEPS = 10


def free(counts: Floats) -> Floats:
    """Return log E, float64[m, k + 1, k], of expected counts of answers by class; all are free."""
    logs: Floats = np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))
    return logs


@dataclass
class Tied:
    """Emissions with one lift per source or per class, improved from where they are.

    Attributes:
        answer: float64[m, k + 1], b; abstain last.
        lift: float64[m, k], l.
        by_class: whether the lift is by class.
    """

    answer: Floats
    lift: Floats
    by_class: bool

    @classmethod
    def start(cls, counts: Floats, by_class: bool) -> Tied:
        """Begin without any lift, at the frequencies of float64[m, k + 1, k] counts."""
        answers = counts.sum(axis=2)
        sources, _, classes = counts.shape
        frequencies = answers / answers.sum(axis=1, keepdims=True)
        return cls(frequencies, np.ones((sources, classes)), by_class)

    def __call__(self, counts: Floats) -> Floats:
        """Fit expected counts, float64[m, k + 1, k], better than before; return log E."""
        right = np.einsum("jyy->jy", counts[:, :-1])
        self.match(right, counts.sum(axis=2), counts.sum(axis=1))
        return self.logs()

    def match(self, right: Floats, answers: Floats, rows: Floats) -> None:
        """Come nearer to what is expected.

        Args:
            right: float64[m, k], right answers by class; or float64[m, 1], all of them.
            answers: float64[m, k + 1], all answers.
            rows: float64[m, k], rows of each class.
        """
        for _ in range(_SWEEPS):
            self._match_answers(answers, rows)
            self._match_right(right, rows)

    def logs(self) -> Floats:
        """Return log E, float64[m, k + 1, k]."""
        logs = np.repeat(np.log(self.answer)[:, :, None], self.lift.shape[1], axis=2)
        labels = range(self.lift.shape[1])
        logs[:, labels, labels] += np.log(self.lift)
        return np.asarray(logs - np.log(self.sums())[:, None])

    def sums(self) -> Floats:
        """Return what the answers would sum to before they are divided by it: Z, float64[m, k]."""
        votes = self.answer[:, :-1]
        return np.asarray(self.answer.sum(axis=1, keepdims=True) + votes * (self.lift - 1))

    def _match_answers(self, answers: Floats, rows: Floats) -> None:
        """Scale b so that each answer is expected as often as it was given."""
        scale = rows / self.sums()
        expected = self.answer * scale.sum(axis=1, keepdims=True)
        expected[:, :-1] += self.answer[:, :-1] * (self.lift - 1) * scale
        self.answer *= answers / expected

    def _match_right(self, right: Floats, rows: Floats) -> None:
        """Scale l so that right answers are expected as often as the posterior counts them."""
        expected = self.answer[:, :-1] * self.lift * rows / self.sums()
        if not self.by_class:
            right, expected = right.sum(axis=1, keepdims=True), expected.sum(axis=1, keepdims=True)
        self.lift *= right / expected
