"""One figure of each batch over time: what the next should be, and how far it may lie from that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gristmill.validate.chance import normal_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_POINTS = 4
_LAST = 60
_BACKTESTS = 24
_SEASONS = 3
_SLOTS = 6
_NORMAL = 1.4826
_EFFICIENCY = 0.75
_TOLERANCE = 0.2
_LUCK = 5
_NOISE = {"level": 1.1, "trend": 1.3, "last": 1.42, "season": 1.2}
"""Deviation of a forecast's error by sampling alone, in that of one figure."""
_LONGEST_STEP = 1.5


class Forecast(msgspec.Struct, frozen=True):
    """What a figure should be.

    Attributes:
        model: "level", "trend", "last" or "season".
        value: the forecast.
        deviation: standard deviation of its errors so far, at least that of sampling.
        freedom: how many errors that rests on, in degrees of freedom of Student's t; the part that
            sampling explains is known without them (Satterthwaite 1946).
        sampling: standard deviation that sampling gives the figures before.
    """

    model: str
    value: float
    deviation: float
    freedom: float
    sampling: float

    def band(self, sampling: float, level: float) -> float:
        """Return how far a clean figure with this sampling error lies from it, at `level`.

        Student's t by Wallace's transformation of the normal quantile (1959).
        """
        free = self.freedom
        z = normal_quantile(level / 2) * (8 * free + 3) / (8 * free + 1)
        t = math.sqrt(free * math.expm1(min(z * z / free, 600.0)))
        more = max(0.0, sampling**2 - self.sampling**2)
        return t * math.sqrt(self.deviation**2 + more)


def forecast(times: Floats, values: Floats, at: float, sampling: float) -> Forecast | None:
    """Forecast a figure at time `at` from those before it; None from fewer than four.

    Four models compete: a median level, a robust line (Theil 1950, Sen 1968), the last value, and
    the same slot of earlier days or weeks with a robust growth. The one with the smallest median
    error in forecasting each of the last 24 figures from those before it is taken. Before three
    periods have been seen there is only the level, with all errors in its band.

    Args:
        times: in days, ascending: float64[n].
        values: float64[n].
        sampling: standard deviation that sampling alone gives one figure.
    """
    times, values = times[-_LAST:], values[-_LAST:]
    if len(values) < MIN_POINTS:
        return None
    step, period = rhythm(times)
    known = not period or times[-1] - times[0] + step >= _SEASONS * period
    best: tuple[float, Forecast] | None = None
    for name, model in _MODELS.items() if known else [("level", _level)]:
        value = model(times, values, at)
        errors = _backtest(model, times, values)
        if value is None or len(errors) < 2:
            continue
        spread = _NORMAL * float(np.median(np.abs(errors)))
        if not known:
            # The odd days of a week are few and look like outliers: they count in full.
            spread = max(spread, float(np.sqrt(np.mean(errors**2))))
        # Few errors may be small by luck, so any model but the plainest has to be clearly better.
        score = spread * (1 if name == "level" else 1 + _LUCK / len(errors))
        least = sampling * _NOISE.get(name, 1.0)
        unknown = max(0.0, 1 - (least / spread) ** 2) if spread else 0.0
        freedom = max(1.0, _EFFICIENCY * len(errors)) / max(unknown**2, 1e-3)
        made = Forecast(name, value, max(spread, least), freedom, sampling)
        if best is None or score < best[0]:
            best = score, made
    return None if best is None else best[1]


def _backtest(model: Model, times: Floats, values: Floats) -> Floats:
    first = max(2, len(values) - _BACKTESTS)
    made = [
        (model(times[:i], values[:i], float(times[i])), values[i])
        for i in range(first, len(values))
    ]
    return np.array([value - truth for value, truth in made if value is not None])


def _level(_times: Floats, values: Floats, _at: float) -> float | None:
    return float(np.median(values))


def _last(_times: Floats, values: Floats, _at: float) -> float | None:
    return float(values[-1])


def _trend(times: Floats, values: Floats, at: float) -> float | None:
    if len(values) < MIN_POINTS:
        return None
    one, two = np.triu_indices(len(values), 1)
    slope = float(np.median((values[two] - values[one]) / (times[two] - times[one])))
    return float(np.median(values + slope * (at - times)))


def _season(times: Floats, values: Floats, at: float) -> float | None:
    """Forecast by the same hour of earlier days, or the same day of earlier weeks."""
    step, period = rhythm(times)
    if not period:
        return None
    ago = (at - times) / period
    same = np.abs(ago - np.round(ago)) * period < step / 2
    same &= np.round(ago) > 0
    if same.sum() < _SEASONS:
        return None
    slots, then = values[same][-_SLOTS:], times[same][-_SLOTS:]
    slope = _growth(times, values, period, step)
    return float(np.median(slots + slope * (at - then)))


def rhythm(times: Floats) -> tuple[float, float]:
    """Return the usual step between tables and the period they may follow, in days; 0.0: none.

    Tables of every hour may follow the day, tables of every day the week.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if not 0 < step <= _LONGEST_STEP:
        return step, 0.0
    return step, 1.0 if step < _TOLERANCE else 7.0


def _growth(times: Floats, values: Floats, period: float, step: float) -> float:
    """Median change per day between figures one period apart."""
    before = np.searchsorted(times, times - period - step / 2)
    inside = np.minimum(before, len(times) - 1)
    apart = times - times[inside]
    fits = np.abs(apart - period) < step / 2
    return float(np.median((values - values[inside])[fits] / apart[fits])) if fits.any() else 0.0


Model = Callable[["Floats", "Floats", float], "float | None"]
_MODELS: dict[str, Model] = {"level": _level, "trend": _trend, "last": _last, "season": _season}
