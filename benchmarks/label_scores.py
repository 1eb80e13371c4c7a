"""Scores that do not depend on how ties are broken, nor on the order of rows.

A row's prediction is spread evenly over the classes that tie for the highest probability, so each
score is what random tie-breaking reaches in expectation (F1: the F1 of the expected counts).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Probs = NDArray[np.float64]
Codes = NDArray[np.integer]

BINS = 15
_TIE = 1e-6
# What the benchmark that these sets come from scores them by; other sets go by their gold.
_OFFICIAL = {
    "accuracy": ("agnews", "chemprot", "imdb", "semeval", "trec", "yelp", "youtube"),
    "F1": ("basketball", "cdr", "census", "commercial", "sms", "spouse", "tennis"),
}


def metric_of(name: str, gold: Codes, classes: int) -> str:
    """Return "F1" (of class 1) or "accuracy" for a set.

    Sets of the benchmark are known by name. Any other is scored by F1 if it has two classes and
    fewer than 40 % of its gold rows are of class 1: there the share of right rows says little.
    """
    for metric, names in _OFFICIAL.items():
        if name in names:
            return metric
    return "F1" if classes == 2 and len(gold) and (gold == 1).mean() < 0.4 else "accuracy"


def spread(probs: Probs) -> Probs:
    """Return each row's prediction, float64[n, k]: 1, shared by the classes that tie."""
    winning = probs >= probs.max(axis=1, keepdims=True) - _TIE
    shared: Probs = winning / winning.sum(axis=1, keepdims=True)
    return shared


def score(metric: str, probs: Probs, gold: Codes) -> float:
    """Return a score in percent; nan without rows."""
    return 100 * (f1 if metric == "F1" else accuracy)(probs, gold)


def accuracy(probs: Probs, gold: Codes) -> float:
    """Return the expected share of right rows."""
    return float(_right(probs, gold).mean()) if len(gold) else float("nan")


def f1(probs: Probs, gold: Codes) -> float:
    """Return F1 of class 1 from the expected numbers of hits, false alarms and misses."""
    called = spread(probs)[:, 1]
    positive = gold == 1
    hits = called[positive].sum()
    wrong = called[~positive].sum() + (1 - called[positive]).sum()
    return float(2 * hits / (2 * hits + wrong)) if hits + wrong else float("nan")


def calibration_error(probs: Probs, gold: Codes) -> float:
    """Return the expected calibration error (Guo et al. 2017) over 15 bins of equal width.

    The mean over rows of |accuracy - confidence| of the bin that the row's highest probability
    falls into; nan without rows.
    """
    if not len(gold):
        return float("nan")
    confidence = probs.max(axis=1)
    of_row = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(of_row, _right(probs, gold) - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / len(gold))


def _right(probs: Probs, gold: Codes) -> Probs:
    right: Probs = spread(probs)[np.arange(len(gold)), gold]
    return right
