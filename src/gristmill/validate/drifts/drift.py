"""Drift: how far the distribution of a feature has moved, and how far chance could move it.

The distance is that of Jensen and Shannon, the square root of their divergence in bits (Lin 1991;
a metric by Endres and Schindelin 2003): 0 for equal distributions, 1 for disjoint ones. Both
sides are counted in the same bins, cut at equal mass of the baseline; missing, NaN and
infinities are bins of their own. A drift is an alarm where the distance matters and chance explains
it neither as a distance nor, for numbers, as a rise or fall of the whole.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from gristmill.validate.chance import ALARM_LEVEL
from gristmill.validate.drifts.bins import Bins, Over, binned, pool_rare
from gristmill.validate.drifts.bins import is_categorical as is_categorical
from gristmill.validate.drifts.distances import (
    cliffs_delta,
    delta_floor,
    distance,
    floor,
    kolmogorov_smirnov,
    stability_index,
    wasserstein,
)
from gristmill.validate.drifts.text_bins import by_text
from gristmill.validate.drifts.vectors import mean_shift

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

THRESHOLD = 0.1
_TESTS = 2


class Drift(msgspec.Struct, frozen=True, omit_defaults=True):
    """The distance between two distributions of one feature.

    Attributes:
        over: what was compared: "numbers", "times", "values"; of free text "lengths", "charset",
            "scripts", "patterns" or "shapes" (padded, upper case, ...); of embeddings "vectors",
            whose bins are those of their numbers.
        distance: Jensen-Shannon distance in [0, 1].
        floor: the distance that chance does not exceed for these two sample sizes.
        threshold: the least distance that matters, from the schema.
        bins: the names of the bins.
        baseline, current: the share of rows in each bin.
        psi: population stability index.
        ks: largest gap of the cumulative shares, of numbers.
        wasserstein: area between them in standard deviations of the baseline, of numbers.
        rise: chance that a new number is greater than an old one, less that it is smaller.
        rise_floor: what `rise` does not exceed by chance, either way.
    """

    feature: str
    over: Over
    distance: float
    floor: float
    threshold: float
    baseline_rows: int
    current_rows: int
    bins: list[str]
    baseline: list[float]
    current: list[float]
    psi: float | None = None
    ks: float | None = None
    wasserstein: float | None = None
    rise: float | None = None
    rise_floor: float = 1.0

    @property
    def moved(self) -> float:
        """The share of rows that lie elsewhere now: the total variation distance, in [0, 1]."""
        pairs = zip(self.baseline, self.current, strict=True)
        return sum(abs(old - new) for old, new in pairs) / 2

    @property
    def beyond_chance(self) -> bool:
        """Whether chance does not explain the shift."""
        return self.distance > self.floor or abs(self.rise or 0.0) > self.rise_floor

    @property
    def alarm(self) -> bool:
        """Whether the shift is both large enough to matter and larger than chance makes."""
        return self.distance > self.threshold and self.beyond_chance


def measure(
    name: str,
    baseline: Feature,
    current: Feature,
    threshold: float = THRESHOLD,
    level: float = ALARM_LEVEL,
) -> Drift | None:
    """Compare one feature of two tables; None where there is nothing to compare.

    Where a feature can be compared in several ways (texts by value and by length) the one that
    alarms is returned, else the first.

    Args:
        level: how often clean data may alarm.
    """
    if not baseline.rows or not current.rows:
        return None
    ways = [*binned(baseline, current), *_of_texts(baseline, current)]
    share = level / max(1, len(ways))
    found = [_drift(name, baseline, current, bins, threshold, share) for bins in ways]
    vectors = mean_shift(baseline.embedding, current.embedding, share)
    if vectors is not None and found:
        found.append(
            msgspec.structs.replace(
                found[0],
                over="vectors",
                distance=vectors[0],
                floor=vectors[1],
                rise=None,
                rise_floor=1.0,
                ks=None,
                wasserstein=None,
                psi=None,
            )
        )
    alarms = [drift for drift in found if drift.alarm]
    return max(alarms, key=lambda drift: drift.distance) if alarms else next(iter(found), None)


def _of_texts(baseline: Feature, current: Feature) -> list[Bins]:
    free = baseline.lengths is not None and not is_categorical(baseline)
    return list(by_text(baseline, current)) if free else []


def moved_by_chance(drift: Drift) -> float:
    """Return the share of rows that two samples of one distribution have in other bins, on average.

    The mean deviation of a share p is that of a normal, sqrt(2 p (1 - p) (1/n + 1/m) / pi).
    """
    rows = 1 / max(1, drift.baseline_rows) + 1 / max(1, drift.current_rows)
    shares = [(old + new) / 2 for old, new in zip(drift.baseline, drift.current, strict=True)]
    return sum(math.sqrt(2 * p * (1 - p) * rows / math.pi) for p in shares) / 2


def _drift(
    name: str, baseline: Feature, current: Feature, bins: Bins, threshold: float, level: float
) -> Drift:
    pooled = pool_rare(bins)
    before, after = pooled.before, pooled.after
    share = level / _TESTS if bins.ordered else level
    rows = float(before.sum()), float(after.sum())
    return Drift(
        feature=name,
        over=bins.over,
        distance=distance(before, after),
        floor=floor(len(pooled.names), *rows, pooled.error, share, pooled.sparsity),
        threshold=threshold,
        baseline_rows=baseline.rows,
        current_rows=current.rows,
        bins=pooled.names,
        baseline=(before / rows[0]).tolist(),
        current=(after / rows[1]).tolist(),
        psi=stability_index(before, after),
        **(_ordered(bins, getattr(baseline, bins.over), share) if bins.ordered else {}),
    )


def _ordered(bins: Bins, numbers: Numbers, level: float) -> dict[str, float]:
    before, after = bins.before[: bins.ordered], bins.after[: bins.ordered]
    return {
        "ks": kolmogorov_smirnov(before, after),
        "wasserstein": wasserstein(before, after, bins.edges) / numbers.std if numbers.std else 0.0,
        "rise": cliffs_delta(before, after),
        "rise_floor": delta_floor(before, after, bins.rank_error, level),
    }
