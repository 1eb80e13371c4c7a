"""Which change did it: counterfactuals on the scores of two versions of labels.

Legend: r rows that both versions have, u sources of either, k classes; a the log-scores in the
version before, b those after.

Between two versions of a row's label stand: each source's votes, the model's weights (all tables
and the prior together), and gold. Each is replaced alone, in both directions, and the label is
worked out again from the scores (`Labels.scoring`), exactly as the model does:

    sufficient   put into the version before, it alone gives the label after
    necessary    taken out of the version after, the label after is gone (but-for cause: Halpern
                 and Pearl 2005)

The cause of a row is the change that is both; else the one that is sufficient; else necessary;
among several, the one that moved the log-odds most. Where none is either, several did it together.

How far a change moved the log-odds of the label after against the label before is its Shapley
value (1953) in the game of votes against weights, source by source: the mean over both orders of
replacing. These values add up exactly to the whole movement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.label.labels import winners
from gristmill.label.versions.alignment import ADDED, REMOVED, Alignment

if TYPE_CHECKING:
    from gristmill.label.labels import Labels

TOGETHER = -1
"""The cause where no change alone makes or undoes the label."""

_ROWS = 20_000


class Sides(NamedTuple):
    """A figure before and after."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]


@dataclass(frozen=True)
class Attribution:
    """What each change did to each of r rows; change 0..u-1 is a source's votes, u is the model's
    weights, u + 1 is gold.

    Attributes:
        cause: int64[r], the change that did it, `TOGETHER` where several did; where the label is
            the same in both versions, the change that moved it most.
        sufficient, necessary: bool[r, u + 2].
        log_odds: float64[r, u + 2], how far each moved the log-odds of the label after against the
            label before; an undecided label, or the same one, stands for the mean of all classes.
        exact: bool[r], whether the scores give the labels of both versions; where they do not, the
            model is more than its scores, and the cause is what the scores make likely.
    """

    cause: NDArray[np.int64]
    sufficient: NDArray[np.bool_]
    necessary: NDArray[np.bool_]
    log_odds: NDArray[np.float64]
    exact: NDArray[np.bool_]


class Tables(NamedTuple):
    """The scores of both versions on the same sources.

    Attributes:
        prior: float64[k] before and after.
        table: float64[u, k + 1, k] before and after; zeros where a version lacks the source.
        in_before, in_after: bool[u].
    """

    prior: Sides
    table: Sides
    in_before: NDArray[np.bool_]
    in_after: NDArray[np.bool_]


def tables_of(aligned: Alignment) -> Tables | None:
    """Return the scores of both versions; None where one does not add up evidence."""
    sides = [scores_of(each) for each in (aligned.before, aligned.after)]
    if sides[0] is None or sides[1] is None:
        return None
    shape = (len(aligned.sources), len(aligned.before.classes) + 1, len(aligned.before.classes))
    found = []
    for labels, scores in zip((aligned.before, aligned.after), sides, strict=True):
        table = np.zeros(shape)
        places = [aligned.sources.index(name) for name in labels.votes.names]
        table[places] = scores[1]  # type: ignore[index]
        found.append(table)
    status = np.array(aligned.status)
    return Tables(
        Sides(sides[0][0], sides[1][0]), Sides(*found), status != ADDED, status != REMOVED
    )


def scores_of(labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return float64[k] and float64[m, k + 1, k]; a majority vote adds up votes. None otherwise."""
    classes, sources = len(labels.classes), len(labels.votes.names)
    if labels.scoring is not None:
        table = np.array(labels.scoring.table).reshape(sources, classes + 1, classes)
        return np.array(labels.scoring.log_prior), table
    if labels.method == "majority vote":
        return np.zeros(classes), np.tile(np.eye(classes + 1, classes), (sources, 1, 1))
    return None


def attribute(
    tables: Tables,
    votes: tuple[NDArray[np.integer], NDArray[np.integer]],
    label: tuple[NDArray[np.int64], NDArray[np.int64]],
    gold: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Attribution:
    """Say which change did what to r rows.

    Args:
        tables: the scores.
        votes: int[r, u] before and after.
        label: int64[r] before and after, -1 undecided.
        gold: int64[r] before and after, -1 where a row is not gold.
    """
    parts = [
        _Rows(tables, *(_slice(pair, start) for pair in (votes, label, gold))).attribute()
        for start in range(0, max(len(label[0]), 1), _ROWS)
    ]
    fields = ("cause", "sufficient", "necessary", "log_odds", "exact")
    return Attribution(
        *(np.concatenate([getattr(each, name) for each in parts]) for name in fields)
    )


def _slice(
    pair: tuple[NDArray[np.integer], NDArray[np.integer]], start: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    return pair[0][start : start + _ROWS], pair[1][start : start + _ROWS]


class _Rows:
    """Some of the rows, with the log-scores of both versions."""

    def __init__(
        self,
        tables: Tables,
        votes: tuple[NDArray[np.integer], NDArray[np.integer]],
        label: tuple[NDArray[np.integer], NDArray[np.integer]],
        gold: tuple[NDArray[np.integer], NDArray[np.integer]],
    ) -> None:
        self.tables, self.votes, self.label, self.gold = tables, votes, label, gold
        rows, sources = votes[0].shape
        self.voters = [(each >= 0).sum(axis=1) for each in votes]
        self.same = label[0] == label[1]
        mean = np.full_like(label[0], -1)
        self.towards = _direction(label[1], tables) - _direction(
            np.where(self.same, mean, label[0]), tables
        )
        self.log_odds = np.zeros((rows, sources + 2))
        self.sufficient = np.zeros((rows, sources + 2), bool)
        self.necessary = np.zeros((rows, sources + 2), bool)
        # Four sums: votes and weights before, votes after, weights after, both after.
        prior = tables.prior
        self.scores = [
            np.tile(each, (rows, 1))
            for each in (prior.before, prior.before, prior.after, prior.after)
        ]
        for source in range(sources):
            for total, part in zip(self.scores, self._parts(source), strict=True):
                total += part

    def attribute(self) -> Attribution:
        before, votes_after, weights_after, after = self.scores
        sources = self.votes[0].shape[1]
        for source in range(sources):
            self._try_votes(source)
        here, there = (each > 0 for each in self.voters)
        self._set(sources, self._label(weights_after, here, 0), self._label(votes_after, there, 1))
        self.log_odds[:, sources] = self._push((weights_after - before + after - votes_after) / 2)
        # Gold alone: that of the other version over the scores of this one.
        changed = self.gold[0] != self.gold[1]
        self._set(
            sources + 1,
            np.where(changed, self._label(before, here, 1), self.label[0]),
            np.where(changed, self._label(after, there, 0), self.label[1]),
        )
        exact = (self._label(before, here, 0) == self.label[0]) & (
            self._label(after, there, 1) == self.label[1]
        )
        return Attribution(self._cause(), self.sufficient, self.necessary, self.log_odds, exact)

    def _parts(
        self, source: int, rows: slice | NDArray[np.int64] = slice(None)
    ) -> list[NDArray[np.float64]]:
        """Return what a source adds: float64[rows, k] with votes and weights before, votes after,
        weights after, both after. A source that is new, or gone, has but one set of weights."""
        tables = self.tables
        old, new = (each[rows, source] for each in self.votes)
        first, last = tables.table.before[source], tables.table.after[source]
        if not tables.in_before[source]:
            return [
                np.zeros((len(old), last.shape[1])),
                last[new],
                np.zeros_like(last[new]),
                last[new],
            ]
        if not tables.in_after[source]:
            return [first[old], np.zeros_like(first[old]), first[old], np.zeros_like(first[old])]
        return [first[old], first[new], last[old], last[new]]

    def _try_votes(self, source: int) -> None:
        """Replace one source's votes, on the rows where they differ."""
        tables = self.tables
        old, new = (each[:, source] for each in self.votes)
        moved = tables.in_before[source] != tables.in_after[source]
        rows = np.arange(len(old)) if moved else np.flatnonzero(old != new)
        if not len(rows):
            return
        parts = self._parts(source, rows)
        before, votes_after, weights_after, after = parts
        self.log_odds[rows, source] = self._push(
            (votes_after - before + after - weights_after) / 2, rows
        )
        change = (new[rows] >= 0).astype(int) - (old[rows] >= 0)
        self._set(
            source,
            self._label(
                self.scores[0][rows] + votes_after - before,
                self.voters[0][rows] + change > 0,
                0,
                rows,
            ),
            self._label(
                self.scores[3][rows] + weights_after - after,
                self.voters[1][rows] - change > 0,
                1,
                rows,
            ),
            rows,
        )

    def _set(
        self,
        change: int,
        put_in: NDArray[np.int64],
        taken_out: NDArray[np.int64],
        rows: slice | NDArray[np.int64] = slice(None),
    ) -> None:
        self.sufficient[rows, change] = put_in == self.label[1][rows]
        self.necessary[rows, change] = taken_out != self.label[1][rows]

    def _label(
        self,
        scores: NDArray[np.float64],
        covered: NDArray[np.bool_],
        side: int,
        rows: slice | NDArray[np.int64] = slice(None),
    ) -> NDArray[np.int64]:
        """Return the label that scores give, under the gold of one version."""
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        decided = np.where(covered, winners(powers / powers.sum(axis=1, keepdims=True)), -1)
        gold = self.gold[side][rows]
        return np.where(gold >= 0, gold, decided)

    def _push(
        self, moved: NDArray[np.float64], rows: slice | NDArray[np.int64] = slice(None)
    ) -> NDArray[np.float64]:
        push: NDArray[np.float64] = (moved * self.towards[rows]).sum(axis=1)
        return push

    def _cause(self) -> NDArray[np.int64]:
        # Where the label is the same, nothing can flip it: what moved it most is the cause.
        self.sufficient[self.same], self.necessary[self.same] = False, False
        self.sufficient[self.same & (self.gold[0] != self.gold[1]), -1] = True
        rank = 2.0 * self.sufficient + self.necessary
        best = rank.max(axis=1, keepdims=True)
        push = np.where(self.same[:, None], np.abs(self.log_odds), self.log_odds)
        push = np.where(rank == best, push, -np.inf)
        # Gold has no log-odds and needs none: where it is among the best, it decided.
        push[:, -1] = np.where(rank[:, -1] == best[:, 0], np.inf, -np.inf)
        push[best[:, 0] == 0, -1] = -np.inf
        found = (best[:, 0] > 0) | (self.same & (push.max(axis=1) > 0))
        return np.where(found, push.argmax(axis=1), TOGETHER)


def _direction(label: NDArray[np.integer], tables: Tables) -> NDArray[np.float64]:
    """Return the class as a one-hot row; all classes alike where it is undecided: float64[r, k]."""
    classes = len(tables.prior.before)
    return np.where(label[:, None] >= 0, np.eye(classes)[label], 1 / classes)
