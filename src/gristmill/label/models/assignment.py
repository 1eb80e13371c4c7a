"""The best one-to-one assignment of rows to columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the column of each row, int64[k], for the largest sum of float64[k, k] scores.

    The Hungarian method by shortest augmenting paths (Kuhn 1955; Jonker & Volgenant 1987), O(k^3).
    Among equal sums the answer is always the same one.
    """
    size = len(scores)
    costs = scores.max(initial=0.0) - scores
    row_price, column_price = np.zeros(size), np.zeros(size)
    taken = np.full(size, -1)  # the row that has a column
    for row in range(size):
        column, before = _cheapest_path(row, costs, taken, row_price, column_price)
        while column >= 0:
            previous = before[column]
            taken[column] = row if previous < 0 else taken[previous]
            column = previous
    return np.argsort(taken)


def _cheapest_path(
    row: int,
    costs: NDArray[np.float64],
    taken: NDArray[np.int64],
    row_price: NDArray[np.float64],
    column_price: NDArray[np.float64],
) -> tuple[int, NDArray[np.int64]]:
    """Return a free column at the end of the cheapest path from a row, and each column's
    predecessor on its path, -1 for the row itself; prices move so that the path costs nothing.
    """
    size = len(costs)
    length = np.full(size, np.inf)
    before = np.full(size, -1)
    reached = np.zeros(size, bool)
    at, last, here = row, -1, 0.0
    while True:
        onward = here + costs[at] - row_price[at] - column_price
        shorter = ~reached & (onward < length)
        length[shorter], before[shorter] = onward[shorter], last
        last = int(np.where(reached, np.inf, length).argmin())
        here = length[last]
        if taken[last] < 0:
            break
        reached[last] = True
        at = int(taken[last])
    gain = here - length[reached]
    row_price[taken[reached]] += gain
    column_price[reached] -= gain
    row_price[row] += here
    return last, before
