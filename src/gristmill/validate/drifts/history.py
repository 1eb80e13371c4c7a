"""A table against the many before it: trends and seasons are no shifts, a broken day is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from gristmill.core.errors import UsageError
from gristmill.validate.drifts.forecasts import MIN_POINTS, Forecast, forecast, rhythm
from gristmill.validate.drifts.series import Figure, figures, top_values
from gristmill.validate.drifts.shift import Shift
from gristmill.validate.statistics.statistics import Statistics

_DAY = 86_400.0
_REPORT_LEVEL = 1e-3
"""How often a clean table may alarm: histories are short, and their errors' spread is uncertain."""
_Key = tuple[str, str | None, str]


@dataclass(frozen=True)
class Dated:
    """Statistics of one batch, and the time it stands for; without a zone it is UTC."""

    time: datetime
    statistics: Statistics

    @property
    def day(self) -> float:
        """Days since 1970-01-01 UTC."""
        time = self.time if self.time.tzinfo else self.time.replace(tzinfo=UTC)
        return time.timestamp() / _DAY


def check_history(history: Sequence[Dated], current: Dated) -> list[Shift]:
    """Compare a table with what the tables before it let expect.

    Followed are the number of rows and, of each feature, the share of missing cells, mean, deciles
    and median, the shares of its top values and the age of its newest time. Each is forecast from
    its own past; a shift is a figure outside of the band of earlier forecast errors, widened by
    sampling error, by more than matters. One clean table in a
    thousand may leave one of its bands.

    With fewer than four tables nothing is told, nor before daily tables have seen a whole week (a
    Sunday may be another world), or hourly ones a day; with few tables, bands are wide.

    Args:
        history: in any order; only what is earlier than `current` is used.

    Raises:
        UsageError: two tables of the history have the same time.
    """
    past = sorted((each for each in history if each.day < current.day), key=lambda each: each.day)
    times = np.array([each.day for each in past])
    if len(times) > 1 and np.diff(times).min() <= 0:
        raise UsageError("expected one table for each time, found two of the same time")
    step, period = rhythm(times)
    if len(past) < MIN_POINTS or times[-1] - times[0] + step < period:
        return []
    tables = [each.statistics for each in past]
    tops = {name: top_values(tables, name) for name in current.statistics.features}
    now = list(figures(current.statistics, current.day, tops))
    before = [{_key(f): f for f in figures(each.statistics, each.day, tops)} for each in past]
    level = _REPORT_LEVEL / len(now)
    found = [_outside(figure, before, times, current.day, level) for figure in now]
    return _worst([one for one in found if one is not None])


def _key(figure: Figure) -> _Key:
    return figure.code, figure.feature, figure.name


def _outside(
    figure: Figure, before: Sequence[dict[_Key, Figure]], times: np.ndarray, at: float, level: float
) -> tuple[float, Shift] | None:
    """Return a shift, and how many bands off it is, where a figure lies outside its band."""
    known = [(time, past[_key(figure)]) for time, past in zip(times, before, strict=True)
             if _key(figure) in past]  # fmt: skip
    if len(known) < MIN_POINTS:
        return None
    when = np.array([time for time, _ in known])
    values = np.array([past.value for _, past in known])
    sampling = float(np.median([past.sampling for _, past in known]))
    made = forecast(when, values, at, sampling)
    if made is None:
        return None
    off, band = figure.value - made.value, made.band(figure.sampling, level)
    if figure.code == "stale_time" and off < 0:
        return None
    if abs(off) <= max(band, figure.matters):
        return None
    return abs(off) / max(band, 1e-12), _told(figure, made, band, len(known))


def _told(figure: Figure, made: Forecast, band: float, tables: int) -> Shift:
    low, high = (figure.spelled(made.value + side * band) for side in (-1, 1))
    by = {"season": "same time of earlier periods", "last": "last value"}.get(
        made.model, made.model
    )
    message = (
        f"{figure.name} is {figure.spelled(figure.value)}, by the {by} of {tables} earlier tables "
        f"{figure.spelled(made.value)} was to be expected, within {low} to {high}"
    )
    return Shift(figure.code, figure.feature, message, None, None, figure.count, figure.total)


def _worst(found: list[tuple[float, Shift]]) -> list[Shift]:
    """Keep the figure that is furthest off of each feature and code."""
    kept: dict[tuple[str, str | None], tuple[float, Shift]] = {}
    for size, shift in found:
        key = shift.code, shift.feature
        if key not in kept or size > kept[key][0]:
            kept[key] = size, shift
    return [shift for _, shift in kept.values()]
