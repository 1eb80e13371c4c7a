"""What an expert's answer is worth, by pattern of votes.

Legend: n rows, m sources, k classes, p patterns (rows on which all sources say the same). A feature
of a pattern is one of its votes (source, class), or the pattern itself; n_f rows have feature f,
and a_f answers were given on such rows.

worth = uncertainty x coverage x disagreement, where

    uncertainty   H(P(y | q)) / ln k: the entropy of the label (Settles 2009, section 3.1)
    coverage      sum over the features of q of n_f / (1 + a_f), divided by n (m + 1)
    disagreement  1 + H(shares of the votes by class) / ln k: one more than the vote entropy of a
                  committee (Dagan and Engelson 1995), so that it is 1 where all who vote agree

Size times uncertainty is what stratified sampling asks for: Neyman (1934) draws from each stratum
in proportion to its size times its deviation. Answers have diminishing returns: this coverage is
what one more answer adds to the sum over features of n_f (1 + 1/2 + ... + 1/a_f), which is monotone
and submodular (feature-based functions: Wei, Iyer, Bilmes 2015), so that for the coverage alone
taking the best again and again comes within 1 - 1/e of the best choice. An answer thus lowers the
worth of all rows with the same votes, and a little that of rows with some of them.

A row that nobody votes on tells of no source, and shares nothing with other rows: its only feature
is itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.patterns import Patterns

if TYPE_CHECKING:
    from gristmill.label.labels import Labels


class Worth:
    """The worth of each pattern, kept up to date as answers come in.

    Args:
        patterns: the distinct votes.
        labels: of the same rows.
        answers: int64[n], how many answers each row has.

    Attributes:
        uncertainty, coverage, disagreement: float64[p], the factors as they are now.
        rows: float64[p], how many rows have the pattern.
    """

    def __init__(self, patterns: Patterns, labels: Labels, answers: NDArray[np.int64]) -> None:
        self.rows = patterns.count()
        self.uncertainty = _uncertainty(labels, patterns)
        self.disagreement = 1 + _entropy(votes_by_class(patterns))
        self._features = patterns.features
        self._of_vote = {
            (feature.source, feature.label): place for place, feature in enumerate(self._features)
        }
        self._votes = patterns.votes
        self._voted = np.asarray((patterns.votes >= 0).any(axis=1))
        self._own = np.bincount(patterns.of_row, answers, len(patterns))
        self._answers = [self._own[each.patterns].sum() for each in self._features]
        self._sizes = [self.rows[each.patterns].sum() for each in self._features]
        self._scale = max(len(patterns.of_row), 1) * (patterns.sources + 1.0)
        self.coverage = np.where(self._voted, self.rows / (1 + self._own), 1.0) / self._scale
        for place, feature in enumerate(self._features):
            share = self._sizes[place] / (1 + self._answers[place]) / self._scale
            self.coverage[feature.patterns] += share

    @property
    def value(self) -> NDArray[np.float64]:
        """The worth of an answer on a row of each pattern: float64[p]."""
        return self.uncertainty * self.coverage * self.disagreement

    def answer(self, pattern: int) -> None:
        """Count one more answer on a row of this pattern."""
        if not self._voted[pattern]:
            return
        self.coverage[pattern] -= self._fall(self.rows[pattern], self._own[pattern])
        self._own[pattern] += 1
        for source in np.flatnonzero(self._votes[pattern] >= 0).tolist():
            place = self._of_vote[source, int(self._votes[pattern, source])]
            fall = self._fall(self._sizes[place], self._answers[place])
            self.coverage[self._features[place].patterns] -= fall
            self._answers[place] += 1

    def _fall(self, size: float, answers: float) -> float:
        """Return how far coverage falls with the next answer: n/(1 + a) - n/(2 + a)."""
        return size / ((1 + answers) * (2 + answers)) / self._scale


def votes_by_class(patterns: Patterns) -> NDArray[np.float64]:
    """Count the votes of each pattern by class: float64[p, k]."""
    counts = np.zeros((len(patterns), patterns.classes))
    for feature in patterns.features:
        counts[feature.patterns, feature.label] += 1
    return counts


def _uncertainty(labels: Labels, patterns: Patterns) -> NDArray[np.float64]:
    """Return the mean entropy of the labels that are not gold, by pattern: float64[p]."""
    entropy = _entropy(labels.table["probs"].to_numpy())
    weak = (labels.table["source"] != "gold").to_numpy().astype(np.float64)
    total = np.bincount(patterns.of_row, entropy * weak, len(patterns))
    rows = np.bincount(patterns.of_row, weak, len(patterns))
    mean: NDArray[np.float64] = total / np.maximum(rows, 1)
    return mean


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each row of float64[p, k], scaled to sum to 1, over ln k."""
    total = shares.sum(axis=1, keepdims=True)
    normed = shares / np.where(total > 0, total, 1)
    logs = np.log(normed, out=np.zeros_like(normed), where=normed > 0)
    entropy: NDArray[np.float64] = np.abs((normed * logs).sum(axis=1))
    return entropy / float(np.log(shares.shape[1]))
