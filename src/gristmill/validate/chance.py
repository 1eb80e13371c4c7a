"""What chance alone explains: the floors under which nothing is a finding."""

from __future__ import annotations

import math
from statistics import NormalDist

ALARM_LEVEL = 1e-5
"""How often one check of clean data may alarm by chance; a report makes tens of them."""
REPORT_LEVEL = 2e-4
"""How often all checks of one kind in a report on clean data may alarm together."""


def level_for(checks: int) -> float:
    """Return the level of each of so many checks (Bonferroni): a report keeps `REPORT_LEVEL`."""
    return min(ALARM_LEVEL, REPORT_LEVEL / max(1, checks))


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


def shares_differ(
    count: int, total: int, other: int, other_total: int, level: float = ALARM_LEVEL
) -> bool:
    """Tell whether two samples' shares differ by more than chance: either way, at `level`."""
    if not total or not other_total:
        return False
    higher = count * other_total >= other * total
    if not higher:
        count, total, other, other_total = other, other_total, count, total
    return log_tail(count, total, other, other_total) < math.log(level / 2)


def log_tail(count: int, total: int, other: int, other_total: int) -> float:
    """Bound the log probability of `count` or more of `total`, given both samples together.

    Fisher's exact test (1935): if both are samples of one population, `count` is hypergeometric.
    Its probabilities fall faster than geometrically beyond the mode, so the tail is at most
    P(count) / (1 - P(count + 1) / P(count)); the bound is 0.0 where that says nothing.
    """
    hits, misses = count + other, total + other_total - count - other
    ratio = (hits - count) * (total - count)
    ratio_to = (count + 1) * (misses - total + count + 1)
    if ratio_to <= ratio:
        return 0.0
    log_p = _log_choose(hits, count) + _log_choose(misses, total - count)
    log_p -= _log_choose(total + other_total, total)
    return min(0.0, log_p - math.log1p(-ratio / ratio_to))


def upper_share(count: float, total: float) -> float:
    """Bound a share from above by a count among `total`: three Poisson deviations more, plus 3."""
    return min(1.0, (count + 3 * math.sqrt(count + 1)) / total) if total > 0 else 1.0


def chi_square_quantile(freedom: int, level: float) -> float:
    """Return the upper quantile of chi-square (Wilson and Hilferty 1931): P(X > x) = level."""
    z = normal_quantile(level)
    term = 2 / (9 * freedom)
    return freedom * (1 - term + z * math.sqrt(term)) ** 3


def normal_quantile(level: float) -> float:
    """Return the upper quantile of the standard normal: P(Z > z) = level."""
    return NormalDist().inv_cdf(1 - level)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _divergence(share: float, allowed: float) -> float:
    """Kullback-Leibler divergence of two coins, in nats."""
    parts = 0.0
    if share > 0:
        parts += share * math.log(share / allowed)
    if share < 1:
        parts += (1 - share) * math.log((1 - share) / (1 - allowed))
    return parts
