"""Dawid-Skene: sources as noisy observers of a class that nobody saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models import em, emission
from gristmill.label.models.additive import Floats, Learned, OneFitModel, Options, answers_of
from gristmill.label.models.balance import Prior, balance_of, check_prior
from gristmill.label.models.emission import Emission, Tied
from gristmill.label.models.patterns import Patterns
from gristmill.label.models.weighted import check_accuracy
from gristmill.label.votes import Votes

_MOST_ROUNDS = 500
_TOLERANCE = 1e-7
_SMALLEST = 1e-300

Maximise: TypeAlias = Callable[[Floats], Floats]
"""From expected counts of answers by class, float64[m, k + 1, k], to log P(answer | class)."""


class DawidSkene(OneFitModel):
    """The model of Dawid & Skene 1979, fitted by expectation-maximisation to its posterior mode.

    Sources answer with one of the k classes or abstain, independently given the class.
    Pseudo-counts say that a vote makes its class more likely; without them the likelihood has modes
    in which sources are useless or inverted. Abstaining is always part of what a source is
    described by, since nearly all sources that people write vote for a single class, and given that
    such a one voted its vote is certain.

    Works from one source on, with sources that vote for one class or never, and with hundreds of
    classes. Deterministic, and independent of the order of rows; memory O(votes + m k^2).

    Args:
        classes: class names, or how many; two or more.
        emission: what a source's answers depend on. "accuracy": one number per source, by which the
            right class is more frequent among its votes than its habits alone would make it;
            "class": one such number per source and class; "confusion": P(answer | class) is free.
        abstention: whether abstaining is evidence when classes are told from votes.
        prior: k probabilities of the classes; "gold" (Laplace-smoothed counts of gold, uniform
            without gold), "uniform", or "estimated" (from gold and votes, by the same EM).
        accuracy: believed accuracy of a source, were classes balanced; in (1 / k, 1).
        strength: pseudo-rows per row behind that belief; above 0.
        gold_weight: rows a gold row counts for; above 0.

    Raises:
        LabelError: an argument is outside its range.
    """

    method = "Dawid-Skene model"

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        emission: Emission = "confusion",
        abstention: bool = False,
        prior: Prior = "gold",
        accuracy: float = 0.7,
        strength: float = 1.0,
        gold_weight: float = 1.0,
    ) -> None:
        super().__init__(classes)
        self.emission = _check_emission(emission)
        self.abstention = abstention
        self.prior = check_prior(prior, len(self.classes), ["gold", "uniform", "estimated"])
        self.accuracy = check_accuracy(accuracy, len(self.classes))
        self.strength = _above_zero("strength", strength)
        self.gold_weight = _above_zero("gold weight", gold_weight)

    @property
    def sources(self) -> pl.DataFrame:
        """What was learned of each source.

        Columns: `source`; `coverage`, the P(it votes) that the model expects; `accuracy`, its
        P(right | voted).

        Raises:
            LabelError: the model is not fitted.
        """
        fitted = self.fitted
        joint = np.exp(fitted.table[:, :-1]) * np.exp(fitted.log_prior)
        voted = joint.sum(axis=(1, 2))
        right = np.einsum("jyy->j", joint)
        return pl.DataFrame({"source": fitted.names, "coverage": voted, "accuracy": right / voted})

    def _learn(self, votes: Votes, gold: NDArray[np.int64]) -> Learned:
        balance = balance_of(self.prior, gold, len(self.classes))
        patterns = Patterns.of(votes.matrix, len(self.classes))
        evidence = em.Evidence(
            free=patterns.count(gold < 0),
            gold=self.gold_weight * patterns.count_by_class(gold),
        )
        settings = em.Settings(
            log_prior=np.log(balance),
            pseudo=em.prior_counts(answers_of(votes), balance, self.accuracy, self.strength),
            share=np.ones(len(votes.names)),
            abstention=self.abstention,
        )
        found = climb(
            patterns, evidence, settings, self._maximise(settings.pseudo), self.prior == "estimated"
        )
        table = em.contributions(found.log_emission, found.settings)
        facts = {
            "rounds": float(found.rounds),
            "converged": float(found.converged),
            "log_likelihood": found.history[-1],
        }
        return Learned(found.settings.log_prior, table, facts)

    def _maximise(self, pseudo: Floats) -> Maximise:
        if self.emission == "confusion":
            return emission.free
        return Tied.start(pseudo, by_class=self.emission == "class")

    def _options(self) -> Options:
        return {
            "emission": self.emission,
            "abstention": self.abstention,
            "prior": self.prior,
            "accuracy": self.accuracy,
            "strength": self.strength,
            "gold_weight": self.gold_weight,
        }


@dataclass(frozen=True, slots=True)
class Climb:
    """Where expectation-maximisation came to rest.

    Attributes:
        log_emission: float64[m, k + 1, k].
        settings: with the class balance at the end.
        posterior: float64[p, k].
        history: penalised log-likelihood after each round; it never falls where abstention is
            evidence.
        converged: whether the posterior came to rest within 500 rounds.
    """

    log_emission: Floats
    settings: em.Settings
    posterior: Floats
    history: tuple[float, ...]
    converged: bool

    @property
    def rounds(self) -> int:
        """How many rounds it took."""
        return len(self.history)


def climb(
    patterns: Patterns,
    evidence: em.Evidence,
    settings: em.Settings,
    maximise: Maximise,
    estimate_balance: bool,
) -> Climb:
    """Alternate between classes and emissions, from what the prior alone says of emissions.

    Args:
        patterns: of the votes.
        evidence: rows and gold, by pattern.
        settings: how votes are read.
        maximise: from expected counts to emissions.
        estimate_balance: whether the class balance moves with the posterior; each class counts one
            row more than the posterior says.
    """
    log_emission = maximise(settings.pseudo)
    posterior, _ = em.classify(patterns, log_emission, settings)
    history: list[float] = []
    converged = False
    while not converged and len(history) < _MOST_ROUNDS:
        weights = posterior * evidence.free[:, None] + evidence.gold
        if estimate_balance:
            settings = replace(settings, log_prior=_log_balance(weights))
        log_emission = maximise(patterns.tally(weights) + settings.pseudo)
        moved, log_rows = em.classify(patterns, log_emission, settings)
        history.append(_objective(evidence, settings, log_emission, moved, log_rows))
        converged = bool(np.abs(moved - posterior).max(initial=0.0) < _TOLERANCE)
        posterior = moved
    return Climb(log_emission, settings, posterior, tuple(history), converged)


def _log_balance(weights: Floats) -> Floats:
    rows = weights.sum(axis=0) + 1.0
    return np.asarray(np.log(rows / rows.sum()))


def _objective(
    evidence: em.Evidence,
    settings: em.Settings,
    log_emission: Floats,
    posterior: Floats,
    log_rows: Floats,
) -> float:
    """Return log P(votes, gold) + log P(emissions) + log P(balance), up to a constant."""
    told = np.flatnonzero(evidence.gold.any(axis=1))
    joint = np.log(np.maximum(posterior[told], _SMALLEST)) + log_rows[told, None]
    seen = evidence.free @ log_rows + (evidence.gold[told] * joint).sum()
    return float(seen + (settings.pseudo * log_emission).sum() + settings.log_prior.sum())


def _check_emission(emission: Emission) -> Emission:
    if emission not in get_args(Emission):
        known = ", ".join(map(repr, get_args(Emission)))
        raise LabelError(f"expected emission out of {known}, found {emission!r}")
    return emission


def _above_zero(name: str, value: float) -> float:
    if not value > 0:
        raise LabelError(f"expected a {name} above 0, found {value}")
    return float(value)
