"""Limits in TFDV's measures, held against figures that clean data does not exceed.

The measures are TFDV's, the histograms are not: both tables are counted in the same bins, and a
limit is exceeded only where the measure is beyond what chance makes of these two sample sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from gristmill.validate.chance import normal_quantile
from gristmill.validate.drifts.bins import Bins, binned, by_value, pool_rare, value_counts
from gristmill.validate.drifts.distances import divergence, floor
from gristmill.validate.drifts.pairs import Pair, without_missing
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.schemas.comparator import Comparator
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.feature import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

Measure = Literal["infinity_norm", "jensen_shannon", "normalized_abs_difference"]
Measures = Callable[[Feature, Feature, Comparator], dict[Measure, float]]
"""Computes TFDV's own figures for (control, treatment); what it leaves out is not checked."""
Role = Literal["drift_comparator", "skew_comparator"]

_NAMES: dict[Measure, str] = {
    "infinity_norm": "L-infinity distance",
    "jensen_shannon": "Jensen-Shannon divergence",
    "normalized_abs_difference": "normalised absolute difference",
}


def exceeded(
    pair: Pair, role: Role, level: float, theirs: Measures | None = None
) -> Iterator[Shift]:
    """Yield the limits of a feature's comparator that its measures exceed.

    Args:
        theirs: TFDV's own figures; limits are then limits, as there.
    """
    comparator: Comparator | None = getattr(pair.spec, role)
    if comparator is None or not pair.before.present or not pair.after.present:
        return
    if theirs is not None:
        figures = theirs(pair.before, pair.after, comparator)
        found = {name: (value, 0.0) for name, value in figures.items()}
    else:
        found = sound_measures(pair.before, pair.after, level)
    for name, (value, by_chance) in found.items():
        limit: float | None = getattr(comparator, name)
        if limit is not None and value > max(limit, by_chance):
            yield _told(pair, role, name, value, limit, by_chance)


def _told(
    pair: Pair, role: Role, name: Measure, value: float, limit: float, by_chance: float
) -> Shift:
    chance = f", and chance makes at most {by_chance:.3g}" if by_chance else ""
    message = f"the {_NAMES[name]} is {value:.4g}, above its limit of {limit:g}{chance}"
    raised = float(f"{value * 1.0001:.4g}")
    edit = Edit(pair.name, f"{role}.{name}", limit, raised)
    rows = pair.after.rows
    return Shift("drift", pair.name, message, pair.drift, edit, rows, rows)


def sound_measures(
    before: Feature, after: Feature, level: float
) -> dict[Measure, tuple[float, float]]:
    """Return each measure over shared bins with what chance makes of it; missing cells left out.

    The first two are of shares; the third, of counts, is told of counts scaled to one size, since
    its value for tables of different sizes is mostly that difference.
    """
    one, two = (without_missing(side, side.missing) for side in (before, after))
    bins = _bins(one, two)
    if bins is None:
        return {}
    pooled = pool_rare(bins)
    p, q = pooled.before / pooled.before.sum(), pooled.after / pooled.after.sum()
    rows = float(pooled.before.sum()), float(pooled.after.sum())
    far = np.abs(p - q)
    reach = _reach(p, q, rows, level)
    beyond = float(np.where(far > reach, far, 0.0).max(initial=0.0))
    largest, at = float(far.max(initial=0.0)), float(reach[int(far.argmax())])
    norm = (beyond, 0.0) if beyond else (largest, at)
    limit = floor(len(p), *rows, pooled.error, level, pooled.sparsity) ** 2
    return {
        "infinity_norm": norm,
        "jensen_shannon": (divergence(pooled.before, pooled.after), limit),
        "normalized_abs_difference": (norm[0] / 2, norm[1] / 2),
    }


def _bins(before: Feature, after: Feature) -> Bins | None:
    if before.values is not None or _coded(before):
        return by_value(before, after)
    return next(iter(binned(before, after)), None)


def _coded(feature: Feature) -> bool:
    return (
        feature.kind == "int" and bool(value_counts(feature)) and len(value_counts(feature)) <= 100
    )


def _reach(
    p: NDArray[np.float64], q: NDArray[np.float64], rows: tuple[float, float], level: float
) -> NDArray[np.float64]:
    """How far the share of each bin differs by chance: one normal bound per bin."""
    pooled = (p * rows[0] + q * rows[1]) / sum(rows)
    z = normal_quantile(level / (2 * max(1, len(p))))
    return np.asarray(z * np.sqrt(pooled * (1 - pooled) * (1 / rows[0] + 1 / rows[1])))
