"""How well candidates for the weight of weak rows do on gold rows held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gristmill.core.progress import task
from gristmill.core.seeds import derive_seed
from gristmill.train.weak.logistic import Logistic, predict_logs
from gristmill.train.weak.sparse_rows import Floats, Ints
from gristmill.train.weak.weak_rows import ALL_ROWS, Relabel, WeakRows

_TOLERANCE = 1e-4
"""Near enough to compare candidates; a hundredth of it moves no log-loss in its third figure."""


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """One way to train beside gold rows.

    Attributes:
        targets: "soft" or "hard".
        rows: name of the selection of weak rows.
        l2: penalty of the logistic regression that judges.
        weight: what an average weak row counts beside a gold one; 0 is gold alone.
    """

    targets: str
    rows: str
    l2: float
    weight: float

    @classmethod
    def gold_alone(cls, l2: float) -> Candidate:
        """Return the candidate that has no use for weak rows."""
        return cls("soft", ALL_ROWS, l2, 0.0)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Log-probabilities of gold rows by candidates that did not see them.

    Attributes:
        logs: float64[g, k].
        truth: int64[g].
    """

    logs: Floats
    truth: Ints

    @property
    def losses(self) -> Floats:
        """Minus the log-likelihood of each row: float64[g]."""
        return np.asarray(-self.logs[np.arange(len(self.truth)), self.truth])

    @property
    def right(self) -> Floats:
        """Whether the likeliest class is the true one: float64[g]."""
        return np.asarray(self.logs.argmax(axis=1) == self.truth, np.float64)


def held_out(
    rows: WeakRows,
    candidates: Sequence[Candidate],
    relabel: Relabel | None,
    *,
    folds: int,
    seed: int,
    repeat: int,
) -> dict[Candidate, HeldOut]:
    """Cross-validate candidates over the gold rows, stratified by class.

    The folds depend on the seed, the repeat and the row ids. Weak rows are labelled anew for each
    fold, without its gold, if there is a `relabel`.
    """
    gold = np.flatnonzero(rows.gold)
    truth = rows.truth[gold]
    fold_of = _folds(rows, gold, folds, derive_seed(seed, "weigh", repeat))
    logs = {each: np.empty((len(gold), rows.classes)) for each in candidates}
    with task(f"weigh weak rows, round {repeat + 1}", folds * len(candidates), "fits") as work:
        for fold in range(folds):
            hidden = gold[fold_of == fold]
            seen = rows if relabel is None else rows.relabelled(relabel, hidden)
            test = rows.features.take(hidden)
            for each, coefficients in _fit_all(seen, candidates, hidden):
                logs[each][fold_of == fold] = predict_logs(test, coefficients)
                work.advance()
    return {each: HeldOut(found, truth) for each, found in logs.items()}


def _fit_all(
    rows: WeakRows, candidates: Sequence[Candidate], hidden: Ints
) -> Iterator[tuple[Candidate, Floats]]:
    """Fit candidates in turn, each from where the one before ended; hidden rows take no part."""
    gold_rows = np.setdiff1d(np.flatnonzero(rows.gold), hidden)
    all_rows = np.setdiff1d(np.arange(len(rows.gold)), hidden)
    problems = {
        alone: Logistic(rows.features.take(part))
        for alone, part in ((True, gold_rows), (False, all_rows))
        if any((each.weight == 0) is alone for each in candidates)
    }
    targets = {kind: rows.targets(kind) for kind in {each.targets for each in candidates}}
    start = None
    for each in sorted(candidates):
        alone = each.weight == 0
        part = gold_rows if alone else all_rows
        weights = rows.weights(each.weight, each.rows)[part]
        goal = targets[each.targets][part]
        start = problems[alone].fit(goal, weights, each.l2, start=start, tolerance=_TOLERANCE)
        yield each, start


def _folds(rows: WeakRows, gold: Ints, folds: int, seed: int) -> Ints:
    """Deal the gold rows of each class to the folds in turn, in an order drawn from their ids."""
    truth, ids = rows.truth, rows.ids.to_list()
    keys = [(int(truth[row]), derive_seed(seed, "fold", ids[row])) for row in gold]
    order = sorted(range(len(gold)), key=keys.__getitem__)
    fold_of = np.empty(len(gold), np.int64)
    fold_of[order] = np.arange(len(gold)) % folds
    return fold_of
