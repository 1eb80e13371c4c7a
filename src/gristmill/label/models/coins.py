"""Expectation-maximisation where one accuracy describes a source, in time O(votes + m k) a round.

A source tosses a coin whether it finds the class; else its answer, one of k classes or abstain, has
frequencies of its own (Ratner et al. 2016, section 3, with a propensity for each answer; emission
"accuracy" of `DawidSkene`). Then all that a fit needs of the votes are a few totals by source and
class, and no table of m (k + 1) k figures, which hundreds of classes would make large.

Legend: m sources, k classes, p patterns of votes, v votes on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.emission import Tied
from gristmill.label.models.patterns import Patterns

Floats = NDArray[np.float64]

_MOST_ROUNDS = 300
_TOLERANCE = 1e-5
_UNSEEN = 0.5


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed before any vote is seen; see `em.prior_counts`.

    Attributes:
        prior: float64[k], class balance; None leaves it to the votes.
        accuracy: of a source, were the classes balanced.
        strength: pseudo-rows per row behind that accuracy.
    """

    prior: Floats | None
    accuracy: float
    strength: float


@dataclass(frozen=True)
class CoinFit:
    """A fitted model.

    Attributes:
        tied: the emissions.
        posterior: float64[p, k], P(class | votes).
        log_prior: float64[k], log class balance.
        log_likelihood: of the votes, where abstaining is evidence and all sources count in full.
        rounds: until it came to rest, or was stopped.
        converged: whether it came to rest.
    """

    tied: Tied
    posterior: Floats
    log_prior: Floats
    log_likelihood: float
    rounds: int
    converged: bool

    @cached_property
    def log_emission(self) -> Floats:
        """Log P(answer | class), float64[m, k + 1, k]; abstain is the last answer."""
        return self.tied.logs()


class Coins:
    """Votes, prepared for any number of fits.

    Args:
        patterns: of votes.
        rows: float64[p], how many rows each pattern stands for.
        share: float64[m], how much each source counts.
    """

    def __init__(self, patterns: Patterns, rows: Floats, share: Floats) -> None:
        self.classes = patterns.classes
        self.rows = rows
        self.share = share
        self.answers = _count_answers(patterns, rows)
        self._voted = np.asarray(patterns.votes >= 0, np.float64)
        self._row, self._source = np.nonzero(patterns.votes >= 0)
        self._label = patterns.votes[self._row, self._source].astype(np.int64)

    def fit(
        self,
        belief: Belief,
        balance: Floats,
        *,
        abstention: bool,
        even: float | None = None,
    ) -> CoinFit:
        """Find the most probable model, from the one that the belief describes.

        Deterministic. Stops when no posterior moves by more than 1e-5, at the latest after 300
        rounds.

        Args:
            belief: in the sources.
            balance: float64[k], P(class), where the fit starts.
            abstention: whether abstaining is evidence.
            even: pseudo-rows, spread evenly over the classes, behind a balance that is estimated;
                None leaves the balance as it is.
        """
        said, right, rows = pseudo_totals(self.answers, balance, belief)
        tied = Tied(said / said.sum(axis=1, keepdims=True), np.ones_like(rows), by_class=False)
        tied.match(right, said, rows)
        posterior, log_likelihood = self._classify(tied, balance, abstention)
        rounds, step = 0, np.inf
        while rounds < _MOST_ROUNDS and step >= _TOLERANCE:
            weights = posterior * self.rows[:, None]
            by_class = weights.sum(axis=0)
            if even is not None:
                balance = (by_class + even / self.classes) / (by_class.sum() + even)
                said, right, rows = pseudo_totals(self.answers, balance, belief)
            found = np.bincount(
                self._source, weights[self._row, self._label], minlength=len(self.share)
            )
            tied.match(right + found[:, None], said + self.answers, rows + by_class)
            moved, log_likelihood = self._classify(tied, balance, abstention)
            step = np.abs(moved - posterior).max(initial=0.0)
            posterior, rounds = moved, rounds + 1
        return CoinFit(
            tied, posterior, np.log(balance), log_likelihood, rounds, bool(step < _TOLERANCE)
        )

    def _classify(self, tied: Tied, balance: Floats, abstention: bool) -> tuple[Floats, float]:
        """Return P(class | votes), float64[p, k], and the log-likelihood (the E step)."""
        log_lift = self.share * np.log(tied.lift[:, 0])
        norms = self.share[:, None] * np.log(tied.sums())
        cells = self._row * self.classes + self._label
        lifts = np.bincount(cells, log_lift[self._source], self.rows.size * self.classes)
        counted: Floats = norms.sum(axis=0) if abstention else self._voted @ norms
        scores = lifts.reshape(-1, self.classes) + np.log(balance) - counted
        highest = scores.max(axis=1, keepdims=True)
        powers = np.exp(scores - highest)
        total = powers.sum(axis=1, keepdims=True)
        log_rows = (highest + np.log(total)).ravel()
        return powers / total, float(self.rows @ log_rows + self._log_frequencies(tied))

    def _log_frequencies(self, tied: Tied) -> float:
        """Return the part of the log-likelihood that is the same for all classes."""
        logs = self.share[:, None] * np.log(tied.answer)
        return float((self.answers * logs).sum())


def pseudo_totals(
    answers: Floats, balance: Floats, belief: Belief
) -> tuple[Floats, Floats, Floats]:
    """Return the totals of `em.prior_counts`, which stand for a belief.

    Args:
        answers: float64[m, k + 1], how often each source gave each answer, abstain last.
        balance: float64[k], P(class).
        belief: in the sources.

    Returns:
        Pseudo-counts of answers, float64[m, k + 1]; of right ones, float64[m, 1]; of rows by class,
        float64[m, k].
    """
    classes = len(balance)
    factor = belief.accuracy * (classes - 1) / (1 - belief.accuracy)
    said = belief.strength * (answers + _UNSEEN)
    norm = 1 + balance * (factor - 1)
    right = said[:, :-1] * (balance * factor / norm)
    spread = (said[:, :-1] / norm).sum(axis=1, keepdims=True) + said[:, -1:]
    rows = balance * (spread + (factor - 1) * said[:, :-1] / norm)
    return said, right.sum(axis=1, keepdims=True), rows


def _count_answers(patterns: Patterns, rows: Floats) -> Floats:
    """Count how often each source gave each answer: float64[m, k + 1], abstain last."""
    answers = patterns.classes + 1
    codes = patterns.votes.astype(np.int64) % answers  # -1 becomes k
    codes += np.arange(patterns.sources) * answers
    weights = np.repeat(rows, patterns.sources)
    counts = np.bincount(codes.ravel(), weights, patterns.sources * answers)
    return counts.reshape(patterns.sources, answers).astype(np.float64)
