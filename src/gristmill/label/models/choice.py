"""Which reading of the votes fits the gold rows: settings chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gristmill.core.progress import track
from gristmill.core.seeds import derive_seed

FEWEST_GOLD_ROWS = 20
"""With fewer gold rows under a vote the defaults stand."""

_FOLDS = 5
_GOLD_WEIGHTS = (10.0, 1.0, 100.0)


@dataclass(frozen=True, slots=True)
class Option:
    """One reading: whether abstention is evidence, and how many rows a gold row counts for."""

    abstention: bool = False
    gold_weight: float = 10.0

    def __str__(self) -> str:
        said = "abstention as evidence" if self.abstention else "abstention ignored"
        return f"{said}, a gold row counted {self.gold_weight:g} times"


@dataclass(frozen=True, slots=True)
class Choice:
    """The reading that was chosen.

    Attributes:
        option: the reading.
        reason: why, in a sentence.
        held_out: float64[g, k], probabilities of the gold rows when they were held out; no rows
            where nothing was held out.
        rows: int64[g], positions of those rows.
    """

    option: Option
    reason: str
    held_out: NDArray[np.float64]
    rows: NDArray[np.int64]


Predict = Callable[[Option, NDArray[np.int64]], NDArray[np.float64]]


def options(abstention: bool | None, gold_weight: float | None) -> list[Option]:
    """Return the readings to choose from, the default first; what the user fixed is fixed."""
    evidence = (False, True) if abstention is None else (abstention,)
    weights = _GOLD_WEIGHTS if gold_weight is None else (gold_weight,)
    return [Option(*pair) for pair in product(evidence, weights)]


def choose(
    readings: Sequence[Option],
    predict: Predict,
    gold: NDArray[np.int64],
    covered: NDArray[np.bool_],
    row_ids: Sequence[int | str],
    classes: int,
    seed: int,
) -> Choice:
    """Choose the reading under which gold rows held out are most likely.

    The default stays unless another beats it by more than the standard error of the difference
    over rows (the one-standard-error rule; Breiman et al. 1984).

    Args:
        readings: the default first.
        predict: fits with a reading and gold int64[n] (-1 unknown); returns float64[n, k].
        gold: int64[n].
        covered: bool[n], rows with a vote; the others cannot tell readings apart.
        row_ids: of the n rows; they decide on the folds.
        classes: k.
        seed: of the folds.
    """
    rows = np.flatnonzero((gold >= 0) & covered)
    if len(rows) < FEWEST_GOLD_ROWS:
        reason = f"default: {len(rows)} gold rows under a vote, {FEWEST_GOLD_ROWS} needed to choose"
        return Choice(readings[0], reason, np.empty((0, classes)), np.empty(0, np.int64))
    folds = _folds(rows, gold, row_ids, seed)
    held_out = [
        _held_out(predict, reading, gold, rows, folds, classes)
        for reading in track(readings, "choose label model", len(readings), "readings")
    ]
    logs = [np.log(np.clip(probs[np.arange(len(rows)), gold[rows]], 1e-12, None))
            for probs in held_out]  # fmt: skip
    best = _best(logs)
    likelihood = ", ".join(
        f"{reading}: {log.mean():.4f}" for reading, log in zip(readings, logs, strict=True)
    )
    reason = f"mean log-likelihood of {len(rows)} gold rows held out ({likelihood})"
    return Choice(readings[best], reason, held_out[best], rows)


def _best(logs: Sequence[NDArray[np.float64]]) -> int:
    best = int(np.argmax([log.mean() for log in logs]))
    gain = logs[best] - logs[0]
    error = gain.std(ddof=1) / len(gain) ** 0.5
    return best if gain.mean() > error else 0


def _held_out(
    predict: Predict,
    reading: Option,
    gold: NDArray[np.int64],
    rows: NDArray[np.int64],
    folds: NDArray[np.int64],
    classes: int,
) -> NDArray[np.float64]:
    probs = np.empty((len(rows), classes))
    for fold in range(_FOLDS):
        hidden = gold.copy()
        hidden[rows[folds == fold]] = -1
        probs[folds == fold] = predict(reading, hidden)[rows[folds == fold]]
    return probs


def _folds(
    rows: NDArray[np.int64], gold: NDArray[np.int64], row_ids: Sequence[int | str], seed: int
) -> NDArray[np.int64]:
    """Deal the rows of each class to the folds in turn, in an order drawn from their ids."""
    keys = [(int(gold[row]), derive_seed(seed, "fold", row_ids[row])) for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    folds = np.empty(len(rows), np.int64)
    folds[order] = np.arange(len(rows)) % _FOLDS
    return folds
