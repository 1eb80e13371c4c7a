"""How a label model adds up votes, in a form that stays small.

Legend: m sources, k classes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FEWEST_CLASSES = 5
"""From here on it is worth looking for votes that a source never gives."""

_SAME = 1e-12


class SourceScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """What each answer of one source adds to the log-score of each class.

    A source has k + 1 answers of k figures each, which is a lot for one that knows 2 of 300
    classes. What it never says is known from a prior alone, and that has a simple form: a row that
    all such answers share, plus a shift for all classes, plus something for the class named.

    Attributes:
        abstain: k floats.
        told: the votes that have figures of their own, ascending.
        votes: k floats for each of these.
        common: k floats that all other votes share, if there are others.
        shift: for each other vote, ascending, what it adds to all classes beyond that.
        own: for each other vote, what it adds to its own class beyond that.
    """

    abstain: tuple[float, ...]
    told: tuple[int, ...]
    votes: tuple[tuple[float, ...], ...]
    common: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    own: tuple[float, ...] = ()

    @classmethod
    def of(cls, table: Floats) -> Self:
        """Make one of float64[k + 1, k]; the last answer is abstain."""
        votes, abstain = table[:-1], tuple(table[-1].tolist())
        common, shift, own, alike = _alike(votes)
        told = tuple(np.flatnonzero(~alike).tolist())
        rows = tuple(map(tuple, votes[~alike].tolist()))
        if not alike.any():
            return cls(abstain, told, rows)
        others = (common, shift[alike], own[alike])
        return cls(abstain, told, rows, *(tuple(each.tolist()) for each in others))

    @property
    def table(self) -> Floats:
        """What each answer adds, float64[k + 1, k]; the last answer is abstain."""
        classes = len(self.abstain)
        table = np.empty((classes + 1, classes))
        if self.common:
            votes = np.setdiff1d(np.arange(classes), self.told)
            table[votes] = np.array(self.common) + np.array(self.shift)[:, None]
            table[votes, votes] += self.own
        if self.told:
            table[list(self.told)] = self.votes
        table[-1] = self.abstain
        return table

    def added(self, vote: int) -> Floats:
        """Return what one vote adds, float64[k]; -1 for abstaining."""
        if vote < 0:
            return np.array(self.abstain)
        place = bisect_left(self.told, vote)
        if place < len(self.told) and self.told[place] == vote:
            return np.array(self.votes[place])
        scores = np.array(self.common) + self.shift[vote - place]
        scores[vote] += self.own[vote - place]
        return scores


class Scoring(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a label model adds up votes: the log-score of a class is `log_prior` plus, from each
    source, the row of `table` that its vote picks; probabilities are its softmax.

    Attributes:
        log_prior: k floats.
        sources: what each of the m sources adds.
        silent: k probabilities of a row on which no source votes; None where its log-score is a sum
            like that of any other.
        dense: m x (k + 1) x k floats, as older files have them instead of `sources`; None once
            read.
    """

    log_prior: tuple[float, ...]
    sources: tuple[SourceScores, ...] = ()
    silent: tuple[float, ...] | None = None
    dense: tuple[tuple[tuple[float, ...], ...], ...] | None = msgspec.field(
        default=None, name="table"
    )

    def __post_init__(self) -> None:
        if self.dense is not None:
            sources = tuple(SourceScores.of(np.array(rows)) for rows in self.dense)
            msgspec.structs.force_setattr(self, "sources", sources)
            msgspec.structs.force_setattr(self, "dense", None)

    @classmethod
    def of(cls, log_prior: Floats, table: Floats, silent: Floats | None = None) -> Self:
        """Make one of float64[k], float64[m, k + 1, k] and, if there is such a thing, float64[k].

        Figures of votes that a source never gives may change by 1e-12.
        """
        return cls(
            tuple(log_prior.tolist()),
            tuple(map(SourceScores.of, table)),
            None if silent is None else tuple(silent.tolist()),
        )

    @property
    def table(self) -> Floats:
        """What each answer adds, float64[m, k + 1, k], made anew; the last answer is abstain."""
        classes = len(self.log_prior)
        table = np.empty((len(self.sources), classes + 1, classes))
        for position, source in enumerate(self.sources):
            table[position] = source.table
        return table

    def added(self, votes: Sequence[int]) -> Floats:
        """Return what the votes on one row add, -1 for abstaining: float64[m, k]."""
        rows = [source.added(vote) for source, vote in zip(self.sources, votes, strict=True)]
        return np.array(rows).reshape(len(rows), len(self.log_prior))

    def of_sources(self, order: Sequence[int]) -> Self:
        """Return the same for some of the sources, in the order given."""
        sources = tuple(self.sources[position] for position in order)
        return type(self)(self.log_prior, sources, self.silent)


def _alike(votes: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Find the votes that follow one form.

    Args:
        votes: float64[k, k], by class voted for.

    Returns:
        The row that they share, float64[k]; by vote, the shift and what is added to the class
        itself, float64[k] each; and which votes those are, bool[k].
    """
    classes = len(votes)
    if classes < _FEWEST_CLASSES or not np.isfinite(votes).all():
        return votes[0], votes[0], votes[0], np.zeros(classes, bool)
    common = np.median(votes - votes[:, :1], axis=0)
    left = votes - common
    shift = np.median(left, axis=1)
    left -= shift[:, None]
    own = left.diagonal().copy()
    np.fill_diagonal(left, 0.0)
    fits = np.abs(left).max(axis=1) <= _SAME * max(1.0, float(np.abs(votes).max()))
    return common, shift, own, fits if fits.sum() > 1 else np.zeros(classes, bool)
