"""Which way to weigh gold and agreement predicts gold labels best that were held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.core.seeds import derive_seed
from gristmill.label.models.gold_update import GoldVotes, Option

FEWEST_GOLD_ROWS = 20
"""With fewer gold rows under a vote the default stands."""

DEFAULT = Option(strength=1000.0)
"""What a few gold rows are taken for: a correction of the readings, no more."""

_FOLDS = 5
_STRENGTHS = (1000.0, 300.0, 100.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        option: how gold and agreement are weighed.
        reason: why, in a sentence.
        held_out: float64[g, k], probabilities of gold rows when they were held out; no rows where
            nothing was held out.
        codes: int64[g], the gold classes of those rows.
    """

    option: Option
    reason: str
    held_out: NDArray[np.float64]
    codes: NDArray[np.int64]


Predict = Callable[[GoldVotes, Option, GoldVotes], NDArray[np.float64]]
"""From gold to learn from, how to weigh it and rows to predict, to float64[n, k]."""


def options(strength: float | None, abstention: bool | None) -> list[Option]:
    """Return what to choose from, that which leans on gold least first.

    Args:
        strength: the only one to consider, None for all.
        abstention: whether abstaining is evidence, None to choose.
    """
    strengths = _STRENGTHS if strength is None else (strength,)
    readings: tuple[float | None, ...] = (None, 0.0, 1.0) if abstention is None else (None,)
    fixed = [Option(each, said) for each in strengths for said in readings]
    return fixed if strength is not None else [Option(), *fixed]


def choose(
    ways: Sequence[Option],
    predict: Predict,
    gold: GoldVotes,
    ids: Sequence[int | str],
    classes: int,
    seed: int,
) -> Choice:
    """Choose the way under which gold rows held out are most likely.

    The first stands unless another is better by more than the standard error of the difference
    over rows; so does each after it (the one-standard-error rule; Breiman et al. 1984, section
    3.4.3).

    Args:
        ways: in the order of how much they lean on gold.
        predict: probabilities of rows.
        gold: the gold rows.
        ids: their row ids; they decide on the folds.
        classes: k.
        seed: of the folds.
    """
    covered = gold.covered
    rows = np.flatnonzero(covered)
    if len(rows) < FEWEST_GOLD_ROWS:
        default = ways[0] if len(ways) == 1 else DEFAULT if len(gold) else Option()
        reason = f"default: {len(rows)} gold rows under a vote, {FEWEST_GOLD_ROWS} needed to choose"
        return Choice(default, reason, np.empty((0, classes)), np.empty(0, np.int64))
    folds = _folds(gold.codes[rows], [ids[row] for row in rows.tolist()], seed)
    told = gold[rows]
    held_out = [_held_out(predict, way, told, folds, classes) for way in ways]
    logs = np.array([
        np.log(np.clip(probs[np.arange(len(rows)), told.codes], 1e-12, None)) for probs in held_out
    ])  # fmt: skip
    best = _simplest_of_the_best(logs)
    likelihood = ", ".join(f"{way}: {log.mean():.4f}" for way, log in zip(ways, logs, strict=True))
    reason = f"mean log-likelihood of {len(rows)} gold rows held out ({likelihood})"
    return Choice(ways[best], reason, held_out[best], told.codes)


def _simplest_of_the_best(logs: NDArray[np.float64]) -> int:
    """Return the first way that is within a standard error of the best; float64[ways, rows]."""
    best = int(np.argmax(logs.mean(axis=1)))
    lost = logs[best] - logs
    error = lost.std(axis=1, ddof=1) / logs.shape[1] ** 0.5
    return int(np.flatnonzero(lost.mean(axis=1) <= error)[0])


def _held_out(
    predict: Predict,
    way: Option,
    gold: GoldVotes,
    folds: NDArray[np.int64],
    classes: int,
) -> NDArray[np.float64]:
    probs = np.empty((len(gold), classes))
    for fold in range(_FOLDS):
        hidden = folds == fold
        probs[hidden] = predict(gold[~hidden], way, gold[hidden])
    return probs


def _folds(codes: NDArray[np.int64], ids: Sequence[int | str], seed: int) -> NDArray[np.int64]:
    """Deal the rows of each class to the folds in turn, in an order drawn from their ids."""
    keys = [
        (int(code), derive_seed(seed, "fold", row_id))
        for code, row_id in zip(codes, ids, strict=True)
    ]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    folds = np.empty(len(keys), np.int64)
    folds[order] = np.arange(len(keys)) % _FOLDS
    return folds
