"""Two models on the same rows: how far apart they are, with an interval.

Pairing by row takes out what both find hard, so that two close models can be told apart on a small
test set. Every gain is `first - second`, turned so that above 0 means that the first is better.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from gristmill.core.errors import DataError, UsageError
from gristmill.core.intervals import Interval, student_quantile, wilson
from gristmill.core.metrics import difference_interval, drawn_interval, score_binary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

ClassMetric: TypeAlias = Literal["accuracy", "precision", "recall", "f1"]
ScoreMetric: TypeAlias = Literal["auc", "log_loss", "brier"]
NumberMetric: TypeAlias = Literal["mae", "mse"]
Metric: TypeAlias = ClassMetric | ScoreMetric | NumberMetric

CLASS_METRICS: tuple[str, ...] = get_args(ClassMetric)
"""Figures of answers that are class numbers."""
SCORE_METRICS: tuple[str, ...] = get_args(ScoreMetric)
"""Figures of the probability of one class."""
NUMBER_METRICS: tuple[str, ...] = get_args(NumberMetric)
"""Figures of answers that are numbers."""
METRICS: tuple[str, ...] = (*CLASS_METRICS, *SCORE_METRICS, *NUMBER_METRICS)
SMALLER_IS_BETTER: frozenset[str] = frozenset({"log_loss", "brier", *NUMBER_METRICS})
_LEAST_PROBABILITY = 1e-15


def figure_of(metric: str, truth: ArrayLike, answers: ArrayLike, positive: int = 1) -> float:
    """Return one model's figure.

    Args:
        metric: one of `METRICS`.
        truth: int[n], classes; float[n] for `mae` and `mse`.
        answers: int[n], classes; for `auc`, `log_loss` and `brier` float[n], the probability of
            `positive`; for `mae` and `mse` float[n].
        positive: the class that the figure is about.

    Raises:
        DataError: the two are not of equal length, or empty, or not of the metric's kind; `auc` of
            rows of one class.
        UsageError: there is no such metric.
    """
    _check(metric, truth, answers)
    if metric in CLASS_METRICS:
        return float(getattr(score_binary(truth, answers, positive), metric))
    if metric == "auc":
        return float(_placements(*_split(truth, answers, positive))[0].mean())
    return float(_losses(metric, truth, answers, positive).mean())


def figure_interval(
    metric: str,
    truth: ArrayLike,
    answers: ArrayLike,
    positive: int = 1,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return one model's figure with its interval.

    Accuracy: Wilson 1927. Precision, recall, F1: bootstrap (Efron 1979). AUC: DeLong, DeLong and
    Clarke-Pearson 1988. Losses by row: their mean and its standard error.

    Args:
        metric, truth, answers, positive: as for `figure_of`.
        level: coverage of the interval.
        seed: of the bootstrap.

    Raises:
        DataError, UsageError: as `figure_of`.
    """
    _check(metric, truth, answers)
    if metric == "accuracy":
        true, given = _columns(truth, answers)
        return wilson(int((true == given).sum()), len(true), level)
    if metric in CLASS_METRICS:
        return drawn_interval(truth, answers, positive, metric=metric, level=level, seed=seed)
    if metric == "auc":
        placed = _placements(*_split(truth, answers, positive))
        return _mean_placement(*placed, level, 0.0)
    return _mean(_losses(metric, truth, answers, positive), level)


def gain(
    metric: str,
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    positive: int = 1,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return how much better `first` is than `second` on the same rows, with its interval.

    Accuracy: Bonett and Price 2012 (the adjusted Wald interval of a paired difference of
    proportions). Precision, recall, F1: paired bootstrap (Koehn 2004). AUC: DeLong, DeLong and
    Clarke-Pearson 1988. Losses by row: the mean of the paired differences and its standard error.

    Args:
        metric: one of `METRICS`.
        truth: as for `figure_of`.
        first: as `answers` of `figure_of`.
        second: the other model's, on the same rows.
        positive: the class that the figure is about.
        level: coverage of the interval.
        seed: of the bootstrap.

    Raises:
        DataError, UsageError: as `figure_of`.
    """
    _check(metric, truth, first, second)
    if metric == "accuracy":
        return _accuracy_gain(truth, first, second, level)
    if metric in CLASS_METRICS:
        return difference_interval(
            truth, first, second, positive, metric=metric, level=level, seed=seed
        )
    if metric == "auc":
        return _auc_gain(truth, first, second, positive, level)
    better = _losses(metric, truth, second, positive) - _losses(metric, truth, first, positive)
    return _mean(better, level)


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Return the two-sided p-value that two models are right equally often (McNemar 1947, exact).

    Args:
        first_alone: rows that only the first answers rightly.
        second_alone: rows that only the second does.
    """
    rows, fewer = first_alone + second_alone, min(first_alone, second_alone)
    if rows == 0:
        return 1.0
    # Sums of binomial terms by their logarithms: 2**rows leaves floating point at 1,024 rows.
    log_half = rows * math.log(0.5)
    terms = (
        math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1) + log_half
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * math.fsum(map(math.exp, terms)))


def right_alone(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[int, int]:
    """Return on how many rows only `first` is right, and on how many only `second`."""
    import numpy as np

    true = np.asarray(truth)
    one, two = np.asarray(first) == true, np.asarray(second) == true
    return int((one & ~two).sum()), int((two & ~one).sum())


def _accuracy_gain(truth: ArrayLike, first: ArrayLike, second: ArrayLike, level: float) -> Interval:
    rows = len(_columns(truth, first)[0])
    _columns(truth, second)
    one, two = right_alone(truth, first, second)
    share_one, share_two = (one + 1) / (rows + 2), (two + 1) / (rows + 2)
    centre = share_one - share_two
    spread = math.sqrt(max(share_one + share_two - centre**2, 0.0) / (rows + 2))
    half = _z(level) * spread
    return Interval((one - two) / rows, max(centre - half, -1.0), min(centre + half, 1.0), level)


def _auc_gain(
    truth: ArrayLike, first: ArrayLike, second: ArrayLike, positive: int, level: float
) -> Interval:
    there_one, rest_one = _placements(*_split(truth, first, positive))
    there_two, rest_two = _placements(*_split(truth, second, positive))
    return _mean_placement(there_one - there_two, rest_one - rest_two, level, -1.0)


def _mean_placement(
    there: NDArray[np.float64], rest: NDArray[np.float64], level: float, least: float
) -> Interval:
    """Return the mean of placements with the interval of DeLong's variance, within [least, 1].

    The variance of few rows is a guess itself, so the interval is of Student's t, with the degrees
    of freedom of Welch 1947. A class of one row has no variance: then nothing is known.
    """
    import numpy as np

    value = float(there.mean())
    if min(len(there), len(rest)) < 2:
        return Interval(value, least, 1.0, level)
    parts = [(float(np.var(part, ddof=1)) / len(part), len(part) - 1) for part in (there, rest)]
    variance = sum(each for each, _ in parts)
    if not variance:
        return Interval(value, value, value, level)
    degrees = variance**2 / sum(each**2 / free for each, free in parts)
    half = student_quantile(level, max(1, math.floor(degrees))) * math.sqrt(variance)
    return Interval(value, max(value - half, least), min(value + half, 1.0), level)


def unusable(metric: str, answers: ArrayLike) -> str:
    """Say what is wrong with answers that are none of a metric's kind; empty where nothing is.

    Args:
        metric: one of `METRICS`.
        answers: as for `figure_of`.
    """
    import numpy as np

    given = np.asarray(answers)
    if given.dtype.kind not in "fc":
        return ""
    if metric in CLASS_METRICS:
        wrong, what = given != np.floor(given), "class numbers"
    elif metric in ("log_loss", "brier"):
        wrong, what = ~((given >= 0) & (given <= 1)), "probabilities"
    elif metric == "auc":
        wrong, what = np.isnan(given), "scores"
    else:
        wrong, what = ~np.isfinite(given), "numbers"
    first = given[wrong][:1]
    return (
        f"{int(wrong.sum()):,} of {given.size:,} are no {what}: {first[0]:g}" if len(first) else ""
    )


def _placements(
    there: NDArray[np.float64], rest: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each row how large a share of the other class it is ranked rightly against.

    Ties count half. By sorting, as in Sun and Xu 2014: O(n log n).
    """
    import numpy as np

    below = np.sort(rest)
    above = np.sort(there)
    left, right = (np.searchsorted(below, there, side) for side in ("left", "right"))
    mine = (left + right) / (2 * len(rest))
    left, right = (np.searchsorted(above, rest, side) for side in ("left", "right"))
    return mine, 1 - (left + right) / (2 * len(there))


def _split(
    truth: ArrayLike, scores: ArrayLike, positive: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of the rows of the class, and of the others."""
    import numpy as np

    true, given = _columns(truth, scores)
    mine = true == positive
    if not mine.any() or mine.all():
        raise DataError(
            f"AUC needs rows of class {positive} and of others, found {int(mine.sum())} of "
            f"{len(true)} rows of it"
        )
    return np.asarray(given[mine], float), np.asarray(given[~mine], float)


def _losses(
    metric: str, truth: ArrayLike, answers: ArrayLike, positive: int
) -> NDArray[np.float64]:
    """Return the loss of each row."""
    import numpy as np

    true, given = _columns(truth, answers)
    if metric in NUMBER_METRICS:
        error = np.asarray(given, float) - np.asarray(true, float)
        return np.asarray(np.abs(error) if metric == "mae" else error**2, float)
    there, chance = (true == positive).astype(float), np.asarray(given, float)
    if metric == "brier":
        return np.asarray((chance - there) ** 2, float)
    sure = np.clip(np.where(there == 1, chance, 1 - chance), _LEAST_PROBABILITY, 1.0)
    return np.asarray(-np.log(sure))


def _mean(values: NDArray[np.float64], level: float) -> Interval:
    import numpy as np

    rows, value = len(values), float(values.mean())
    spread = float(np.std(values, ddof=1)) / math.sqrt(rows) if rows > 1 else math.inf
    half = _z(level) * spread
    return Interval(value, value - half, value + half, level)


def _columns(truth: ArrayLike, answers: ArrayLike) -> tuple[NDArray[np.generic], ...]:
    import numpy as np

    true, given = np.asarray(truth), np.asarray(answers)
    if true.shape != given.shape or true.size == 0:
        raise DataError(
            f"expected two equally long, non-empty columns, found {true.shape} and {given.shape}"
        )
    return true, given


def _z(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)


def _check(metric: str, truth: ArrayLike, *answers: ArrayLike) -> None:
    if metric not in METRICS:
        raise UsageError(f"unknown metric {metric!r}", fix=f"use one of {', '.join(METRICS)}")
    columns = {"the truth": truth} if metric in NUMBER_METRICS else {}
    for name, column in [*columns.items(), *(("answers", each) for each in answers)]:
        wrong = unusable(metric, column)
        if wrong:
            raise DataError(f"{metric} of {name}: {wrong}")
