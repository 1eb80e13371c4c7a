"""One fit of the label model: votes as patterns, gold, and the sources that share a weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models import em
from gristmill.label.models.choice import Option
from gristmill.label.models.duplicates import Group, candidates, copies, shares
from gristmill.label.models.pairwise import count_pairs
from gristmill.label.models.patterns import Patterns

_FAINT_STRENGTH = 0.01
"""Of the belief in accuracy where likelihoods are compared; a strong one hides good sources."""


@dataclass(frozen=True)
class Belief:
    """What is believed before any vote is seen.

    Attributes:
        prior: float64[k], class balance; None takes it from gold, smoothed, or uniform.
        accuracy: of a source, were the classes balanced.
        strength: pseudo-rows per row behind that accuracy.
    """

    prior: NDArray[np.float64] | None
    accuracy: float
    strength: float

    def balance(self, gold: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
        """Return P(class), float64[k]; without a prior, Laplace-smoothed from int64[n] gold."""
        if self.prior is not None:
            return self.prior
        counts = np.bincount(gold[gold >= 0], minlength=classes) + 1.0
        return np.asarray(counts / counts.sum())


@dataclass(frozen=True)
class Problem:
    """Votes and gold to fit a model on.

    Attributes:
        belief: the prior.
        patterns: of the n rows' votes.
        gold: int64[n], -1 where unknown.
        answers: float64[m, k + 1], how often each source gave each answer.
        copies: groups of sources that share one weight.
    """

    belief: Belief
    patterns: Patterns
    gold: NDArray[np.int64]
    answers: NDArray[np.float64]
    copies: tuple[Group, ...] = ()

    @classmethod
    def of(
        cls, belief: Belief, matrix: NDArray[np.integer], classes: int, gold: NDArray[np.int64]
    ) -> Self:
        """Set up a fit on int[n, m] votes, and find the copies among the sources."""
        patterns = Patterns.of(matrix, classes)
        weights = np.repeat(patterns.count()[:, None], classes, axis=1)
        problem = cls(belief, patterns, gold, patterns.tally(weights)[:, :, 0])
        return replace(problem, copies=problem._find_copies())

    def solve(self, option: Option, gold: NDArray[np.int64]) -> tuple[em.Fit, NDArray[np.float64]]:
        """Fit with an option and int64[n] gold; return the fit and the class balance."""
        balance = self.belief.balance(gold, self.patterns.classes)
        settings = em.Settings(
            log_prior=np.log(balance),
            pseudo=em.prior_counts(
                self.answers, balance, self.belief.accuracy, self.belief.strength
            ),
            share=shares(self.patterns.sources, self.copies),
            abstention=option.abstention,
        )
        evidence = em.Evidence(
            free=self.patterns.count(gold < 0),
            gold=option.gold_weight * self.patterns.count_by_class(gold),
        )
        return em.fit(self.patterns, evidence, settings), balance

    def predict(self, option: Option, gold: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return P(class | votes), float64[n, k], of a fit with that option and gold."""
        fit, _ = self.solve(option, gold)
        return np.asarray(fit.posterior[self.patterns.of_row])

    def _find_copies(self) -> tuple[Group, ...]:
        counts, votes, classes = self.patterns.count(), self.patterns.votes, self.patterns.classes
        pairs = count_pairs(votes, classes, counts)
        alike = candidates(pairs)
        return tuple(copies(alike, pairs, votes, counts, classes, self._log_likelihood))

    def _log_likelihood(self, sources: list[int]) -> float:
        """Return log P(votes of some sources) when these judge independently, at its best fit."""
        patterns = Patterns.of(self.patterns.votes[:, sources], self.patterns.classes)
        rows = np.zeros(len(patterns))
        np.add.at(rows, patterns.of_row, self.patterns.count())
        balance = self.belief.balance(self.gold, patterns.classes)
        settings = em.Settings(
            log_prior=np.log(balance),
            pseudo=em.prior_counts(
                self.answers[sources], balance, self.belief.accuracy, _FAINT_STRENGTH
            ),
            share=np.ones(len(sources)),
            abstention=True,
        )
        fit = em.fit(patterns, em.Evidence(rows, np.zeros((len(patterns), len(balance)))), settings)
        _, log_rows = em.classify(patterns, fit.log_emission, settings)
        return float(rows @ log_rows)
