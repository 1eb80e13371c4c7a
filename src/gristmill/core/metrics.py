"""Figures of merit of a classifier on rows with known classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gristmill.core.errors import DataError
from gristmill.core.intervals import Interval, bootstrap
from gristmill.core.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """Precision, recall and F1 of one class against all others, and accuracy over all classes.

    A figure whose denominator is zero is 0, as is usual (no positive predicted, or none there).
    """

    precision: float
    recall: float
    f1: float
    accuracy: float
    rows: int

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def score_binary(truth: ArrayLike, predicted: ArrayLike, positive: int = 1) -> BinaryScores:
    """Score predicted classes against true ones.

    Args:
        truth: int[n], classes 0..k-1.
        predicted: int[n]; -1 (no answer) counts as wrong.
        positive: the class that precision, recall and F1 are about.

    Raises:
        DataError: the two are not of equal length, or empty.
    """
    import numpy as np

    true, guess = np.asarray(truth), np.asarray(predicted)
    if true.shape != guess.shape or true.size == 0:
        raise DataError(
            f"expected two equally long, non-empty columns, found {true.shape} and {guess.shape}"
        )
    return _score(true, guess, positive)


def _score(true: NDArray[np.int64], guess: NDArray[np.int64], positive: int) -> BinaryScores:
    hits = int(((true == positive) & (guess == positive)).sum())
    said, there = int((guess == positive).sum()), int((true == positive).sum())
    return BinaryScores(
        precision=hits / said if said else 0.0,
        recall=hits / there if there else 0.0,
        f1=2 * hits / (said + there) if said + there else 0.0,
        accuracy=float((true == guess).mean()),
        rows=len(true),
    )


def score_intervals(
    truth: ArrayLike,
    predicted: ArrayLike,
    positive: int = 1,
    *,
    metrics: Sequence[str] = ("precision", "recall", "f1"),
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return bootstrap intervals (95 %) of the named `BinaryScores` figures."""
    import numpy as np

    true, guess = np.asarray(truth), np.asarray(predicted)
    score_binary(true, guess, positive)

    def figure(name: str) -> Interval:
        def on(rows: NDArray[np.int64]) -> float:
            return float(getattr(_score(true[rows], guess[rows], positive), name))

        return bootstrap(on, len(true), draws=draws, seed=seed)

    return {name: figure(name) for name in metrics}


def drawn_interval(
    truth: ArrayLike,
    predicted: ArrayLike,
    positive: int = 1,
    *,
    metric: str = "f1",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the bootstrap interval of one figure of `BinaryScores`.

    As `score_intervals`, at a cost that does not grow with the rows: those that look alike to the
    metric are drawn together, as in `difference_interval`.
    """
    import numpy as np

    true, guess = np.asarray(truth), np.asarray(predicted)
    rows = score_binary(true, guess, positive).rows
    counts = _cells(true, guess, guess, positive)
    generator = np.random.default_rng(derive_seed(seed, "bootstrap of cells"))
    figures = _cell_figures(generator.multinomial(rows, counts / rows, draws), metric, 1)
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        float(_cell_figures(counts[None], metric, 1)[0]), float(low), float(high), level
    )


def difference_interval(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    positive: int = 1,
    *,
    metric: str = "f1",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the paired bootstrap interval of `metric(first) - metric(second)` on the same rows.

    Pairing by row (Koehn 2004) is what lets two close models be told apart on a small test set.
    Rows that look alike to the metric (the class is there or not, each model says so or not, each
    is right or not) are drawn together, by their number: the draws of the plain bootstrap, at a
    cost that does not grow with the rows.
    """
    import numpy as np

    true, one, two = np.asarray(truth), np.asarray(first), np.asarray(second)
    rows = score_binary(true, one, positive).rows
    score_binary(true, two, positive)
    counts, mirrored = _cells(true, one, two, positive), _cells(true, two, one, positive)
    # Exchanging the models must turn the interval round: both draw for the same of the two orders.
    turned = counts.tolist() < mirrored.tolist()
    generator = np.random.default_rng(derive_seed(seed, "paired bootstrap"))
    drawn = generator.multinomial(rows, (mirrored if turned else counts) / rows, draws)
    gains = _cell_gain(drawn, metric) * (-1 if turned else 1)
    if np.array_equal(counts, mirrored):
        gains = np.concatenate([gains, -gains])  # neither is first: so must be the interval
    low, high = np.quantile(gains, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(_cell_gain(counts[None], metric)[0]), float(low), float(high), level)


def _cells(
    true: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64], positive: int
) -> NDArray[np.int64]:
    """Return int64[32]: how many rows have the marks that the bits of their cell's number say."""
    import numpy as np

    marks = (true == positive, one == positive, two == positive, one == true, two == true)
    cells = np.zeros(len(true), np.int64)
    for bit, mark in enumerate(marks):
        cells |= mark.astype(np.int64) << bit
    return np.asarray(np.bincount(cells, minlength=1 << len(marks)))


def _cell_gain(counts: NDArray[np.int64], metric: str) -> NDArray[np.float64]:
    """Return how far the first model is ahead in each draw of int64[draws, 32]."""
    return _cell_figures(counts, metric, 1) - _cell_figures(counts, metric, 2)


def _cell_figures(counts: NDArray[np.int64], metric: str, model: int) -> NDArray[np.float64]:
    """Return a model's figure of each draw.

    Args:
        counts: int64[draws, 32], rows by cell, as `_cells` counts them.
        metric: a figure of `BinaryScores`.
        model: 1 or 2: the bit that says that this model says the class.
    """
    import numpy as np

    number = np.arange(counts.shape[1])

    def total(*bits: int) -> NDArray[np.float64]:
        chosen = np.all([(number >> bit) & 1 == 1 for bit in bits], axis=0)
        return np.asarray(counts[:, chosen].sum(axis=1), float)

    if metric == "accuracy":
        return np.asarray(total(model + 2) / counts.sum(axis=1))
    hits, said, there = total(0, model), total(model), total(0)
    above, below = {
        "precision": (hits, said),
        "recall": (hits, there),
        "f1": (2 * hits, said + there),
    }[metric]
    return np.divide(above, below, out=np.zeros_like(hits), where=below > 0)
