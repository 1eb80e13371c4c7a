"""Units that changed: every quantile scaled by one factor, or moved as temperatures are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gristmill.validate.drifts.bins import bins_for, edges_of
from gristmill.validate.drifts.distances import distance, floor
from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.numbers import Numbers

    Floats = NDArray[np.float64]


class Conversion(msgspec.Struct, frozen=True):
    """new = factor * old + offset."""

    name: str
    factor: float
    offset: float = 0.0


# None near 1: yards for metres could not be told from prices that rose by 9 %.
_FACTORS = {
    "miles to kilometres": 1.609344,
    "miles to metres": 1609.344,
    "feet to metres": 0.3048,
    "inches to centimetres": 2.54,
    "inches to millimetres": 25.4,
    "feet to inches": 12.0,
    "pounds to kilograms": 0.45359237,
    "ounces to grams": 28.349523125,
    "gallons to litres": 3.785411784,
    "knots to km/h": 1.852,
    "km/h to m/s": 1 / 3.6,
    "degrees to radians": np.pi / 180,
    "a factor of 10": 10.0,
    "a factor of 60 (such as minutes to seconds)": 60.0,
    "a factor of 24 (days to hours)": 24.0,
    "a factor of 100 (such as dollars to cents, shares to percent)": 100.0,
    "a factor of 1,000 (such as seconds to milliseconds)": 1000.0,
    "a factor of 3,600 (hours to seconds)": 3600.0,
    "a factor of 1,000,000": 1e6,
    "a factor of 1,024": 1024.0,
    "a factor of -1 (the sign)": -1.0,
}
_CONVERSIONS = [
    *(Conversion(name, factor) for name, factor in _FACTORS.items()),
    Conversion("Fahrenheit to Celsius", 5 / 9, -160 / 9),
    Conversion("Celsius to Kelvin", 1.0, 273.15),
    Conversion("Fahrenheit to Kelvin", 5 / 9, 459.67 * 5 / 9),
]
_SAME = Conversion("as it was", 1.0)
_MATTERS = 0.1
_NEAR = 0.25
_BETTER = 0.5
_FAR = 4.0
_MIN_ROWS = 30
_MIN_DISTINCT = 10


def unit_change(pair: Pair, level: float) -> Shift | None:
    """Return the conversion after which the distribution has not moved at all, if there is one."""
    drift = pair.drift
    if not pair.moved or drift is None or pair.numbers is None:
        return None
    before, after = pair.numbers
    few = min(pair.before.distinct_count.value, pair.after.distinct_count.value) < _MIN_DISTINCT
    if few or min(before.n, after.n) < _MIN_ROWS:
        return None
    raw = _distance_after(before, after, _SAME)
    if raw <= _MATTERS:
        return None
    fits = [(_left(before, after, one, level), one) for one in _candidates(before, after)]
    fits = [fit for fit in fits if fit[0] is not None]
    if not fits:
        return None
    left, best = min(fits, key=lambda fit: fit[0] or 0.0)
    if left is None or left > _BETTER * min(raw, _after_a_rise(before, after)):
        return None
    unit = f", expected {pair.spec.unit}" if pair.spec.unit else ""
    message = (
        f"all quantiles are those of the baseline {_formula(best)}: {best.name}?{unit} "
        f"(median {_median(before):.4g} -> {_median(after):.4g}; distance {raw:.3f}, "
        f"{left:.3f} after converting back)"
    )
    return Shift("unit_change", pair.name, message, drift, None, after.n, after.n)


def _candidates(before: Numbers, after: Numbers) -> list[Conversion]:
    """Return the known conversions, both ways, that bring the quartiles near to where they are."""
    old, new = (side.quantiles.quantiles([0.25, 0.5, 0.75]) for side in (before, after))
    both = [turned for one in _CONVERSIONS for turned in (one, _inverse(one))]
    spread = max(float(new[2] - new[0]), 0.1 * float(np.abs(new).max()), 1e-12)
    return [
        one
        for one in both
        if np.all(np.abs(np.sort(one.factor * old + one.offset) - new) <= 2 * _NEAR * spread)
    ]


def _inverse(one: Conversion) -> Conversion:
    name = " to ".join(reversed(one.name.split(" to "))) if " to " in one.name else one.name
    name = f"{one.name}, undone" if "factor" in one.name else name
    return Conversion(name, 1 / one.factor, -one.offset / one.factor)


def _left(before: Numbers, after: Numbers, one: Conversion, level: float) -> float | None:
    """Return the distance after converting back; None where more is left than chance makes."""
    bins = bins_for(min(before.n, after.n))
    error = 4 * bins * (before.quantiles.rank_error + after.quantiles.rank_error)
    left = _distance_after(before, after, one)
    return left if left <= max(floor(bins, before.n, after.n, error, level), _MATTERS) else None


def _after_a_rise(before: Numbers, after: Numbers) -> float:
    """Return the distance that is left if all values rose or fell by as much as the median.

    A rise of one deviation can look like another sign or scale, and is commoner. One that goes
    further than distributions drift explains nothing: it is as if it left them disjoint.
    """
    old, new = (side.quantiles.quantiles([0.25, 0.5, 0.75]) for side in (before, after))
    rise = float(new[1] - old[1])
    if abs(rise) > _FAR * float(max(old[2] - old[0], new[2] - new[0])):
        return 1.0
    return _distance_after(before, after, Conversion("risen", 1.0, rise))


def _distance_after(before: Numbers, after: Numbers, one: Conversion) -> float:
    """Return the distance of the finite numbers, the baseline's edges converted."""
    edges = _between_values(before, edges_of(before.quantiles, bins_for(min(before.n, after.n))))
    old = before.quantiles.counts_between(edges)
    new = after.quantiles.counts_between(np.sort(one.factor * edges + one.offset))
    return distance(old, new[::-1] if one.factor < 0 else new)


def _between_values(numbers: Numbers, edges: Floats) -> Floats:
    """Move edges from values to the middle of the gap above them: rounding must not matter."""
    counted = numbers.quantiles.value_counts()
    if counted is None or len(counted[0]) < 2:
        return edges
    values = counted[0]
    place = np.clip(np.searchsorted(values, edges, side="right"), 1, len(values) - 1)
    return np.unique((values[place - 1] + values[place]) / 2)


def _formula(one: Conversion) -> str:
    scaled = "" if one.factor == 1 else f"x {one.factor:.6g}"
    moved = f" {'+' if one.offset > 0 else '-'} {abs(one.offset):.5g}" if one.offset else ""
    return f"{scaled}{moved}".strip()


def _median(numbers: Numbers) -> float:
    return float(numbers.quantiles.quantiles([0.5])[0])
