"""What chance alone explains: the floors under which nothing is a finding."""

from __future__ import annotations

import math
from statistics import NormalDist

ALARM_LEVEL = 1e-5
"""How often one check of clean data may alarm by chance; a report makes tens of them."""


def beyond_chance(count: int, total: int, allowed: float) -> bool:
    """Tell whether `count` of `total` is more than a share of `allowed` explains.

    Chernoff's bound (Hoeffding 1963, theorem 1): with a true share of at most p, the
    chance to see a share of q > p in n independent cells is at most exp(-n KL(q || p)). With an
    allowed share of zero, one is beyond chance.
    """
    if count <= 0 or total <= 0 or count / total <= allowed:
        return False
    if allowed <= 0:
        return True
    return total * _divergence(count / total, allowed) > -math.log(ALARM_LEVEL)


def upper_share(count: float, total: float) -> float:
    """Bound a share from above by a count among `total`: three Poisson deviations more, plus 3."""
    return min(1.0, (count + 3 * math.sqrt(count + 1)) / total) if total > 0 else 1.0


def chi_square_quantile(freedom: int, level: float) -> float:
    """Return the upper quantile of chi-square (Wilson and Hilferty 1931): P(X > x) = level."""
    z = NormalDist().inv_cdf(1 - level)
    term = 2 / (9 * freedom)
    return freedom * (1 - term + z * math.sqrt(term)) ** 3


def _divergence(share: float, allowed: float) -> float:
    """Kullback-Leibler divergence of two coins, in nats."""
    parts = 0.0
    if share > 0:
        parts += share * math.log(share / allowed)
    if share < 1:
        parts += (1 - share) * math.log((1 - share) / (1 - allowed))
    return parts
