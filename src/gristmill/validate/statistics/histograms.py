"""Histograms of numbers: bins of equal mass or of equal width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.numbers import Numbers

By = Literal["mass", "width"]


class Histogram(msgspec.Struct, frozen=True):
    """Counts of numbers in bins (edge, next edge]; the first bin includes its lower edge.

    Attributes:
        edges: one more than there are bins, ascending, from the least to the greatest number.
        counts: how many numbers each bin holds.
        count_error: each count is within this of the truth (99 %); 0.0 when exact.
    """

    edges: list[float]
    counts: list[float]
    count_error: float


def histogram(numbers: Numbers, bins: int = 10, by: By = "mass") -> Histogram:
    """Return the histogram of the finite numbers of a column.

    Heavy values make bins of equal mass coincide; these are given once, so there may be fewer.

    Raises:
        UsageError: `bins` is less than 1.
    """
    if bins < 1:
        raise UsageError(f"expected at least 1 bin, found {bins}")
    if numbers.low is None or numbers.high is None:
        return Histogram([], [], 0.0)
    low, high = float(numbers.low), float(numbers.high)
    inner = inner_edges(numbers, bins) if by == "mass" else np.linspace(low, high, bins + 1)[1:-1]
    inner = inner[(inner > low) & (inner < high)]
    counts = numbers.quantiles.counts_between(inner)
    error = 2 * numbers.quantiles.rank_error * numbers.n
    return Histogram([low, *inner.tolist(), high], counts.tolist(), error)


def inner_edges(numbers: Numbers, bins: int) -> NDArray[np.float64]:
    """Return the edges between `bins` bins of equal mass, ascending, without repeats.

    While there are no more distinct numbers than bins, every number gets a bin of its own.
    """
    counted = numbers.quantiles.value_counts()
    if counted is not None and len(counted[0]) <= bins:
        return counted[0][:-1]
    marks = numbers.quantiles.quantiles([i / bins for i in range(1, bins)])
    return np.unique(marks)
