"""Embeddings: how far the mean vector has moved, in deviations that count.

Let d be the difference of the two mean vectors, v the variances and n, m the rows. If nothing has
moved, sum(d^2 / v) / (1/n + 1/m) has mean D, the number of dimensions, and the variance of a
chi-square whose degrees of freedom are the effective dimensions (Satterthwaite 1946; Box 1954):
D^2 over the sum of all squared correlations. Two normal distributions that lie s deviations apart
have a Jensen-Shannon divergence of s^2 / (8 ln 2) bits, for small s, which makes of the shift a
distance on the scale of all others, and of its floor that of as many bins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gristmill.validate.drifts.distances import bits_of_shift, floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.embeddings import Embedding, Space

    Floats = NDArray[np.float64]

_MIN_ROWS = 30


def mean_shift(
    before: Embedding | None, after: Embedding | None, level: float
) -> tuple[float, float] | None:
    """Return the distance of two mean vectors and its floor; None where they cannot be compared."""
    if before is None or after is None or before.dimension != after.dimension:
        return None
    old, new = before.space, after.space
    if old is None or new is None or min(old.n, new.n) < _MIN_ROWS:
        return None
    variance = (old.m2 + new.m2) / (old.n + new.n)
    varies = variance > 1e-12 * np.maximum(1e-300, np.square(old.mean) + variance)
    dimensions = int(varies.sum())
    if not dimensions:
        return None
    gap = np.square(new.mean - old.mean)[varies] / variance[varies]
    effective = effective_dimensions(old, new, varies)
    shift = math.sqrt(float(gap.mean()) * effective)
    limit = floor(math.ceil(effective) + 1, old.n, new.n, level=level)
    return min(1.0, math.sqrt(bits_of_shift(shift))), limit


def effective_dimensions(before: Space, after: Space, chosen: NDArray[np.bool_]) -> float:
    """Estimate how many independent dimensions vary as much as these: in [1, D].

    From both samples, each less its own mean. Noise adds one over the sampled rows to each squared
    correlation, so the estimate is low and the floor that follows from it high.
    """
    sides = [np.asarray(side.sample[:, chosen], dtype=np.float64) for side in (before, after)]
    rows = np.concatenate([side - side.mean(axis=0) for side in sides if len(side)])
    spread = np.sqrt(np.square(rows).mean(axis=0))
    scaled = rows / np.where(spread > 0, spread, 1.0)
    # The sum of the squares is the same over rows as over columns; the smaller matrix is quicker.
    inner = scaled @ scaled.T if scaled.shape[0] < scaled.shape[1] else scaled.T @ scaled
    squares = float(np.square(inner / len(rows)).sum())
    dimensions = float(scaled.shape[1])
    return min(dimensions, max(1.0, dimensions * dimensions / max(squares, 1e-300)))
