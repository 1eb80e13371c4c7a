"""What gold labels add to readings that were fitted without them.

A reading says how each source answers in each class; gold shows it. The reading counts as a number
of rows seen before (a conjugate prior; empirical Bayes, Robbins 1956), so that with a few gold rows
the agreement of the sources decides and with many the gold does. Nothing is fitted again, which
makes it cheap to ask, on gold rows held out, how many rows the reading is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.reading import Read

Floats = NDArray[np.float64]

_LEAST_ABSTENTION = 1e-3
_BALANCE_ROWS = 20.0
"""Rows that the class balance of a reading is worth beside that of gold."""


@dataclass(frozen=True, slots=True)
class Option:
    """How gold and agreement are weighed.

    Attributes:
        strength: rows of each class that a reading is worth beside gold; None leaves it as it is.
        abstention: share of the evidence of abstaining that counts; None as the reading has it.
    """

    strength: float | None = None
    abstention: float | None = None

    def __str__(self) -> str:
        if self.strength is None:
            return "agreement alone"
        said = {None: "as read", 0.0: "ignored", 1.0: "as evidence"}[self.abstention]
        return f"agreement worth {self.strength:g} rows a class, abstention {said}"


@dataclass(frozen=True)
class GoldVotes:
    """The votes on rows with gold.

    Attributes:
        votes: int[g, m], -1 for abstain.
        codes: int64[g], the gold classes.
        weights: float64[g].
    """

    votes: NDArray[np.integer]
    codes: NDArray[np.int64]
    weights: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: NDArray[np.generic]) -> GoldVotes:
        return GoldVotes(self.votes[rows], self.codes[rows], self.weights[rows])

    @property
    def covered(self) -> NDArray[np.bool_]:
        """The rows on which a source voted: bool[g]."""
        return np.asarray((self.votes >= 0).any(axis=1))

    def count(self, classes: int) -> Floats:
        """Count answers by class: float64[m, k + 1, k], abstain last."""
        sources = self.votes.shape[1]
        table = np.zeros((sources, classes + 1, classes))
        places = (np.arange(sources), self.votes, self.codes[:, None])  # -1 is the last answer
        np.add.at(table, places, self.weights[:, None])
        return table


@dataclass(frozen=True)
class Pool:
    """Readings as one: the mean of their log-scores (a logarithmic opinion pool; Genest & Zidek
    1986), which is again a sum over sources.

    Attributes:
        log_prior: float64[k].
        table: float64[m, k + 1, k], what each answer adds to the log-score of a class.
        silent: float64[k], log-scores of a row on which no source votes.
    """

    log_prior: Floats
    table: Floats
    silent: Floats

    def scores(self, votes: NDArray[np.integer]) -> Floats:
        """Return the log-scores of few rows, int[n, m] with -1 for abstain: float64[n, k]."""
        picked = self.table[np.arange(len(self.table)), votes]  # -1 is the last answer
        total = picked.sum(axis=1) + self.log_prior
        total[(votes < 0).all(axis=1)] = self.silent
        return np.asarray(total)

    def heated(self, temperature: float) -> Pool:
        """Return the pool with all log-scores divided by a temperature."""
        return Pool(
            self.log_prior / temperature, self.table / temperature, self.silent / temperature
        )


def pool(
    reads: Sequence[Read],
    share: Floats,
    gold: GoldVotes | None = None,
    option: Option | None = None,
    *,
    balance: Floats | None = None,
) -> Pool:
    """Pool readings, each after what gold adds to it.

    Args:
        reads: the readings that are trusted, at least one.
        share: float64[m], how much each source counts.
        gold: the gold rows to learn from.
        option: how to weigh them.
        balance: float64[k], the class balance if it is known.
    """
    chosen = option or Option()
    updated = [_updated(read, gold, chosen, balance) for read in reads]
    tables, silents, log_priors = [], [], []
    for read, (log_prior, log_emission) in zip(reads, updated, strict=True):
        counted = float(read.reading.abstention)
        if chosen.abstention is not None:
            counted = chosen.abstention
        table = log_emission * share[:, None, None]
        silents.append(log_prior + table[:, -1].sum(axis=0))  # silence is all there is to go by
        table[:, -1] *= counted
        tables.append(table)
        log_priors.append(log_prior)
    return Pool(np.mean(log_priors, axis=0), np.mean(tables, axis=0), np.mean(silents, axis=0))


def _updated(
    read: Read, gold: GoldVotes | None, option: Option, balance: Floats | None
) -> tuple[Floats, Floats]:
    """Return log class balance and log emissions of a reading after gold."""
    fit = read.fit
    if gold is None or len(gold) == 0 or option.strength is None:
        return fit.log_prior, fit.log_emission
    classes = len(fit.log_prior)
    # Gold rows are few, and seldom drawn as the rows to come are: what a source gets wrong is
    # learned for all other classes together, which keeps most of what a confusion matrix could say.
    log_emission = _tied(gold.count(classes) + option.strength * np.exp(fit.log_emission))
    if balance is not None:
        return fit.log_prior, log_emission
    seen = np.bincount(gold.codes, gold.weights, classes) + _BALANCE_ROWS * np.exp(fit.log_prior)
    return np.log(seen / seen.sum()), log_emission


def _tied(counts: Floats) -> Floats:
    """Return log P(answer | class), float64[m, k + 1, k], with a vote as frequent in every class
    but its own: 2 k numbers per source where a full confusion matrix has k^2.
    """
    labels = np.arange(counts.shape[2])
    rows = counts.sum(axis=1)
    right = counts[:, labels, labels]
    wrong = (counts[:, :-1].sum(axis=2) - right) / (rows.sum(axis=1, keepdims=True) - rows)
    emission = np.empty_like(counts)
    emission[:, :-1] = wrong[:, :, None]
    emission[:, labels, labels] = right / rows
    emission[:, -1] = np.maximum(1 - emission[:, :-1].sum(axis=1), _LEAST_ABSTENTION)
    return np.asarray(np.log(emission) - np.log(emission.sum(axis=1, keepdims=True)))
