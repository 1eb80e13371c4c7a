"""The votes that a label model is fitted on, as patterns, and the sources that share a weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.coins import Belief, Coins
from gristmill.label.models.duplicates import Group, candidates, copies, shares
from gristmill.label.models.pairwise import count_pairs
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.reading import JUDGES, VOTERS, Read, Reading, overturned

_FAINT_STRENGTH = 0.01
"""Of the belief in accuracy where likelihoods are compared; a strong one hides good sources."""

_EVEN_STRENGTH = 0.1
"""Pseudo-rows per row, spread evenly over the classes, behind an estimated class balance."""

_FIRMER = (1.0, 3.0, 10.0, 30.0, 100.0)
"""By how much the belief in the sources is strengthened, until unanimous votes stand."""


@dataclass(frozen=True)
class Problem:
    """Votes to fit a model on.

    Attributes:
        belief: the prior.
        patterns: of votes.
        rows: float64[p], how many rows each pattern stands for.
        copies: groups of sources that share one weight.
    """

    belief: Belief
    patterns: Patterns
    rows: NDArray[np.float64]
    copies: tuple[Group, ...] = ()

    @classmethod
    def of(cls, belief: Belief, patterns: Patterns, rows: NDArray[np.float64]) -> Self:
        """Set up a fit, and find the copies among the sources."""
        problem = cls(belief, patterns, rows)
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
        known = self.belief.prior
        even = _EVEN_STRENGTH * float(self.rows.sum())
        fit = self._coins.fit(
            replace(self.belief, strength=firmer * self.belief.strength),
            balance if known is None else known,
            abstention=reading.abstention,
            even=even if reading.estimated and known is None else None,
        )
        return Read(reading, fit, overturned(self.patterns, self.rows, fit.posterior))

    @cached_property
    def _coins(self) -> Coins:
        return Coins(self.patterns, self.rows, self.share)

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
        coins = Coins(patterns, rows, np.ones(len(sources)))
        faint = replace(self.belief, strength=_FAINT_STRENGTH)
        return coins.fit(faint, balance, abstention=True).log_likelihood
