"""Readings: ways to understand the same votes, none of which is right for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.coins import CoinFit
from gristmill.label.models.patterns import Patterns

MOST_OVERTURNED = 0.01
"""A reading that overturns unanimous votes on more than one row in a hundred is not trusted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand votes.

    Attributes:
        name: in words.
        abstention: whether abstaining is evidence of the class.
        estimated: whether the class balance is estimated, or the same for all classes but for what
            another reading says.
    """

    name: str
    abstention: bool
    estimated: bool


JUDGES = Reading("independent judges", abstention=True, estimated=True)
"""Every source judges every row for itself, so that what it leaves out is evidence too.

This is the full model of Dawid & Skene, and where it holds the best that can be had: it alone can
tell the class balance, or a class from the silence of its sources. Where it does not hold (many
rules for narrow cases, written by one person, are silent together) it finds clusters of rules
instead of classes; `overturned` tells.
"""

VOTERS = Reading("votes alone", abstention=False, estimated=False)
"""Only votes are evidence, and classes are as frequent as they are left to be."""


@dataclass(frozen=True, slots=True)
class Read:
    """A reading, fitted.

    Attributes:
        reading: which.
        fit: what was found; its posterior is over the patterns of the votes.
        overturned: share of the rows with unanimous votes whose class is another.
    """

    reading: Reading
    fit: CoinFit
    overturned: float

    @property
    def trusted(self) -> bool:
        """Whether it leaves unanimous votes in place."""
        return self.overturned <= MOST_OVERTURNED

    def __str__(self) -> str:
        verdict = "kept" if self.trusted else "not trusted"
        return f"{self.reading.name}: {verdict}, overturns {self.overturned:.1%} of unanimous votes"


def overturned(
    patterns: Patterns, rows: NDArray[np.float64], posterior: NDArray[np.float64]
) -> float:
    """Return on what share of the rows with unanimous votes the best class is another.

    Sources are written to be better than chance, so where all that vote agree, the class should
    seldom be another; a model that says so often has found something else than the classes.

    Args:
        patterns: of votes, int[p, m].
        rows: float64[p], rows of each pattern.
        posterior: float64[p, k].
    """
    votes = patterns.votes
    said = votes.max(axis=1)
    unanimous = (said >= 0) & ((votes < 0) | (votes == said[:, None])).all(axis=1)
    counted = rows[unanimous]
    if not counted.sum() > 0:
        return 0.0
    best = posterior[unanimous].argmax(axis=1)
    return float(counted[best != said[unanimous]].sum() / counted.sum())
