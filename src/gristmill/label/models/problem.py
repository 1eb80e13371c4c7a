"""The votes that a label model is fitted on, as patterns, and the sources that share a weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models import em
from gristmill.label.models.duplicates import Group, candidates, copies, shares
from gristmill.label.models.pairwise import count_pairs
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.reading import JUDGES, VOTERS, Read, Reading, overturned

_FAINT_STRENGTH = 0.01
"""Of the belief in accuracy where likelihoods are compared; a strong one hides good sources."""

_TOLERANCE = 1e-5
_EVEN_STRENGTH = 0.1
"""Pseudo-rows per row, spread evenly over the classes, behind an estimated class balance."""

_FIRMER = (1.0, 3.0, 10.0, 30.0, 100.0)
"""By how much the belief in the sources is strengthened, until unanimous votes stand."""


@dataclass(frozen=True)
class Belief:
    """What is believed before any vote is seen.

    Attributes:
        prior: float64[k], class balance; None leaves it to the votes.
        accuracy: of a source, were the classes balanced.
        strength: pseudo-rows per row behind that accuracy.
    """

    prior: NDArray[np.float64] | None
    accuracy: float
    strength: float


@dataclass(frozen=True)
class Problem:
    """Votes to fit a model on.

    Attributes:
        belief: the prior.
        patterns: of votes.
        rows: float64[p], how many rows each pattern stands for.
        answers: float64[m, k + 1], how often each source gave each answer.
        copies: groups of sources that share one weight.
    """

    belief: Belief
    patterns: Patterns
    rows: NDArray[np.float64]
    answers: NDArray[np.float64]
    copies: tuple[Group, ...] = ()

    @classmethod
    def of(cls, belief: Belief, patterns: Patterns, rows: NDArray[np.float64]) -> Self:
        """Set up a fit, and find the copies among the sources."""
        weights = np.repeat(rows[:, None], patterns.classes, axis=1)
        problem = cls(belief, patterns, rows, patterns.tally(weights)[:, :, 0])
        return replace(problem, copies=problem._find_copies())

    @property
    def share(self) -> NDArray[np.float64]:
        """How much each source counts, float64[m]."""
        return shares(self.patterns.sources, self.copies)

    def read(self, abstention: bool | None) -> tuple[list[Read], list[Read]]:
        """Fit the readings; return those to pool, at least one, and the others.

        The votes alone are read with the class balance of the independent judges, if these are
        trusted, on a logarithmic scale halfway to an even one: it is an estimate, and rests on
        more assumptions. They too may overturn unanimous votes; then they are read once more with a
        firmer belief in the sources, which in the end is little else than a majority vote.

        Args:
            abstention: True asks only for the reading in which abstaining is evidence, False only
                for the other, None for both.
        """
        if abstention is False:
            return self._read_votes(self._even())
        judges = self._fit(JUDGES, self._even())
        if abstention is True:
            return [judges], []
        halfway = np.exp(judges.fit.log_prior / 2)
        balance = halfway / halfway.sum() if judges.trusted else self._even()
        voters, left_out = self._read_votes(balance)
        return ([judges, *voters], left_out) if judges.trusted else (voters, [judges, *left_out])

    def _read_votes(self, balance: NDArray[np.float64]) -> tuple[list[Read], list[Read]]:
        """Return the votes read with the mildest belief that is trusted, else with the firmest."""
        reads: list[Read] = []
        for firmer in _FIRMER:
            reads.append(self._fit(VOTERS, balance, firmer))
            if reads[-1].trusted:
                break
        return reads[-1:], reads[:-1]

    def _fit(self, reading: Reading, balance: NDArray[np.float64], firmer: float = 1.0) -> Read:
        if self.belief.prior is not None:
            balance = self.belief.prior

        def settings(balance: NDArray[np.float64]) -> em.Settings:
            belief = (balance, self.belief.accuracy, firmer * self.belief.strength)
            return em.Settings(
                log_prior=np.log(balance),
                pseudo=em.prior_counts(self.answers, *belief),
                share=self.share,
                abstention=reading.abstention,
                coins=True,
            )

        def revise(rows_by_class: NDArray[np.float64]) -> em.Settings:
            even = _EVEN_STRENGTH * self.rows.sum() / len(balance)
            return settings((rows_by_class + even) / (rows_by_class + even).sum())

        estimated = reading.estimated and self.belief.prior is None
        fit = em.fit(
            self.patterns, self._evidence(), settings(balance), revise if estimated else None,
            tolerance=_TOLERANCE,
        )  # fmt: skip
        return Read(reading, fit, overturned(self.patterns, self.rows, fit.posterior))

    def _evidence(self) -> em.Evidence:
        return em.Evidence(self.rows, np.zeros((len(self.patterns), self.patterns.classes)))

    def _even(self) -> NDArray[np.float64]:
        return np.full(self.patterns.classes, 1 / self.patterns.classes)

    def _find_copies(self) -> tuple[Group, ...]:
        votes, classes = self.patterns.votes, self.patterns.classes
        pairs = count_pairs(votes, classes, self.rows)
        alike = candidates(pairs)
        return tuple(copies(alike, pairs, votes, self.rows, classes, self._log_likelihood))

    def _log_likelihood(self, sources: list[int]) -> float:
        """Return log P(votes of some sources) when these judge independently, at its best fit."""
        patterns = Patterns.of(self.patterns.votes[:, sources], self.patterns.classes)
        rows = np.bincount(patterns.of_row, self.rows, len(patterns)).astype(np.float64)
        balance = self._even() if self.belief.prior is None else self.belief.prior
        settings = em.Settings(
            log_prior=np.log(balance),
            pseudo=em.prior_counts(
                self.answers[sources], balance, self.belief.accuracy, _FAINT_STRENGTH
            ),
            share=np.ones(len(sources)),
            abstention=True,
        )
        evidence = em.Evidence(rows, np.zeros((len(patterns), len(balance))))
        fit = em.fit(patterns, evidence, settings, tolerance=_TOLERANCE)
        _, log_rows = em.classify(patterns, fit.log_emission, settings)
        return float(rows @ log_rows)
