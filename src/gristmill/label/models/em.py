"""Expectation-maximisation for the Dawid-Skene model, with abstention as one more answer.

Model (Dawid & Skene 1979): the class y of a row is drawn from a prior; source j answers o, one of k
classes or abstain (o = k), with probability E[j, o, y], independently of the others given y. The
answers' probabilities have a Dirichlet prior whose pseudo-counts say that sources are better than
chance (MAP rather than maximum likelihood, which drifts to solutions where sources are useless or
inverted).

Abstention must be part of E even where it is not used as evidence: nearly all sources that people
write vote for a single class, and given that such a source voted, its vote says nothing.

Legend: m sources, k classes, p patterns of votes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.emission import free
from gristmill.label.models.patterns import Patterns

_MOST_ROUNDS = 500
_TOLERANCE = 1e-7
_UNSEEN = 0.5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the rows, by pattern.

    Attributes:
        free: float64[p], how many rows have no gold label.
        gold: float64[p, k], weight of rows with a gold label, by class.
    """

    free: NDArray[np.float64]
    gold: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the model reads the evidence.

    Attributes:
        log_prior: float64[k], log class balance.
        pseudo: float64[m, k + 1, k], pseudo-counts of answers given the class.
        share: float64[m], how much each source counts; less than 1 for one of several copies.
        abstention: whether an abstaining source is evidence on the class.
    """

    log_prior: NDArray[np.float64]
    pseudo: NDArray[np.float64]
    share: NDArray[np.float64]
    abstention: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model.

    Attributes:
        log_emission: float64[m, k + 1, k], log P(answer | class).
        posterior: float64[p, k], P(class | votes).
        history: the penalised log-likelihood after each round; it never falls where abstention is
            evidence and all shares are 1.
        converged: whether the posterior came to rest.
    """

    log_emission: NDArray[np.float64]
    posterior: NDArray[np.float64]
    history: tuple[float, ...]
    converged: bool


def fit(patterns: Patterns, evidence: Evidence, settings: Settings) -> Fit:
    """Find the most probable model, from the one that the prior alone describes.

    Deterministic. Stops when no posterior moves by more than 1e-7, at the latest after 500 rounds.
    """
    log_emission = free(settings.pseudo)
    posterior, _ = classify(patterns, log_emission, settings)
    history: list[float] = []
    step = np.inf
    while len(history) < _MOST_ROUNDS and step >= _TOLERANCE:
        weights = posterior * evidence.free[:, None] + evidence.gold
        log_emission = free(patterns.tally(weights) + settings.pseudo)
        moved, log_rows = classify(patterns, log_emission, settings)
        history.append(_objective(log_rows, log_emission, patterns, evidence, settings))
        step = np.abs(moved - posterior).max(initial=0.0)
        posterior = moved
    return Fit(log_emission, posterior, tuple(history), bool(step < _TOLERANCE))


def classify(
    patterns: Patterns, log_emission: NDArray[np.float64], settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return P(class | votes) float64[p, k] and log P(votes) float64[p] (the E step)."""
    table = contributions(log_emission, settings)
    scores = patterns.add_up(table) + settings.log_prior
    highest = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - highest)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total, (highest + np.log(total)).ravel()


def contributions(log_emission: NDArray[np.float64], settings: Settings) -> NDArray[np.float64]:
    """Return what each answer adds to the log-score of each class: float64[m, k + 1, k]."""
    table = log_emission * settings.share[:, None, None]
    if not settings.abstention:
        table[:, -1] = 0.0
    return table


def prior_counts(
    answers: NDArray[np.float64], balance: NDArray[np.float64], accuracy: float, strength: float
) -> NDArray[np.float64]:
    """Return the pseudo-counts that make each source better than chance: float64[m, k + 1, k].

    A source that gives an answer c times is believed, as if from `strength` x c further rows, to be
    right with the given accuracy were the classes equally frequent; with a class balance, the odds
    of the voted class rise by the same factor from where the balance puts them. That it abstains is
    believed to say nothing. An answer never seen counts half a time, so that it has a
    probability should it come up later.

    Args:
        answers: float64[m, k + 1], how often each source gave each answer, abstain last.
        balance: float64[k], P(class).
        accuracy: in (1 / k, 1).
        strength: pseudo-rows per row, above 0.
    """
    classes = len(balance)
    factor = accuracy * (classes - 1) / (1 - accuracy)
    lift = np.ones((classes + 1, classes))
    np.fill_diagonal(lift, factor)
    given = lift * balance
    given /= given.sum(axis=1, keepdims=True)
    counts: NDArray[np.float64] = strength * (answers + _UNSEEN)[:, :, None] * given[None]
    return counts


def _objective(
    log_rows: NDArray[np.float64],
    log_emission: NDArray[np.float64],
    patterns: Patterns,
    evidence: Evidence,
    settings: Settings,
) -> float:
    """Return log P(votes, gold) + log P(emissions), up to a constant."""
    seen = float(evidence.free @ log_rows)
    if evidence.gold.any():
        joint = patterns.add_up(contributions(log_emission, settings)) + settings.log_prior
        seen += float((evidence.gold * joint).sum())
    return seen + float((settings.pseudo * log_emission).sum())
