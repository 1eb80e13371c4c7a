"""Time range: when the times of a column begin and end, how they are spaced, how old they are."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from gristmill.validate.chance import ALARM_LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

UnixUnit = Literal["s", "ms", "us", "ns"]
_EPOCH = dt.datetime(1970, 1, 1)
_TICKS: dict[UnixUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EARLIEST, _LATEST = 631_152_000, 4_102_444_800  # 1990-01-01 and 2100-01-01 in Unix seconds
_TIME_NAME = re.compile(
    r"(?i:(^|[_\W])(ts|times?|datetime|date|epoch|unix|stamp|at|on|created|updated|modified)($|[_\W])"
    r"|timestamp)|[a-z](Time|Date|Stamp|At)($|[_\WA-Z])"
)
_MARKS = 1001
_MAX_GAPS = 20
_REGULAR = 0.5


@dataclass(frozen=True)
class Gap:
    """A stretch without any time: after `start` the next one is `end` (UTC, no zone)."""

    start: dt.datetime
    end: dt.datetime

    @property
    def length(self) -> dt.timedelta:
        """How long the stretch is."""
        return self.end - self.start


@dataclass(frozen=True)
class TimeRange:
    """The range of a column of times, all in UTC without a zone.

    Attributes:
        first, last: the earliest and the latest.
        step: the median time between neighbouring different times; None with fewer than two.
        regular: whether at least half of these lie exactly one step apart.
        gaps: the longest stretches without a time, at most 20, the longest first.
        exact: whether step and gaps are of all times; otherwise of 1,001 quantiles, so that `step`
            is an average and only gaps that rise above the spacing of those are seen.
        unit: the unit of an integer column of Unix times; None for columns of times.
    """

    first: dt.datetime
    last: dt.datetime
    step: dt.timedelta | None
    regular: bool
    gaps: tuple[Gap, ...]
    exact: bool
    unit: UnixUnit | None = None

    @classmethod
    def of(cls, feature: Feature, name: str = "") -> Self | None:
        """Read the range from the figures of a column; None where it holds no times.

        Integers are Unix times if both their range (1990 to 2100) and the column's name say so.
        """
        if feature.times is not None and feature.times.n:
            return cls._from(feature.times, 1.0, None)
        unit = unix_unit(feature.numbers, name) if feature.numbers is not None else None
        if unit is None or feature.numbers is None:
            return None
        return cls._from(feature.numbers, 10**6 / _TICKS[unit], unit)

    @classmethod
    def _from(cls, numbers: Numbers, scale: float, unit: UnixUnit | None) -> Self:
        """`scale` is microseconds per tick of the numbers."""
        counted = numbers.quantiles.value_counts()
        exact = counted is not None
        marks = counted[0] if counted else _quantile_marks(numbers)
        steps = np.diff(marks) * scale
        step = float(np.median(steps)) if len(steps) else None
        regular = step is not None and bool(exact and (steps == step).mean() >= _REGULAR)
        if step is not None and not exact:
            step = float(marks[-1] - marks[0]) * scale / max(1, numbers.n - 1)
        wide = np.flatnonzero(steps > _longest(steps, regular=regular))
        wide = wide[np.argsort(-steps[wide], kind="stable")][:_MAX_GAPS]
        return cls(
            first=_moment(float(numbers.low or 0) * scale),
            last=_moment(float(numbers.high or 0) * scale),
            step=None if step is None else dt.timedelta(microseconds=round(step)),
            regular=regular,
            gaps=tuple(Gap(_moment(marks[i] * scale), _moment(marks[i + 1] * scale)) for i in wide),
            exact=exact,
            unit=unit,
        )

    @property
    def span(self) -> dt.timedelta:
        """From the first to the last."""
        return self.last - self.first

    def age(self, now: dt.datetime) -> dt.timedelta:
        """How old the last time is at `now` (with a zone, or in UTC); negative: in the future."""
        if now.tzinfo is not None:
            now = now.astimezone(dt.UTC).replace(tzinfo=None)
        return now - self.last

    def describe(self) -> dict[str, object]:
        """The figures, JSON-able: ISO 8601, spans in seconds."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "span_seconds": self.span.total_seconds(),
            "step_seconds": None if self.step is None else self.step.total_seconds(),
            "regular": self.regular,
            "gaps": [[gap.start.isoformat(), gap.end.isoformat()] for gap in self.gaps],
            "exact": self.exact,
            "unit": self.unit,
        }


def unix_unit(numbers: Numbers, name: str) -> UnixUnit | None:
    """Tell the unit in which integers count time since 1970-01-01 UTC; None if they do not.

    Their whole range must lie from 1990 to 2100 and the column's name must speak of time: numbers
    of that size alone may be identifiers.
    """
    low, high = numbers.low, numbers.high
    if low is None or high is None or not isinstance(low, int) or not _TIME_NAME.search(name):
        return None
    fitting = (u for u, t in _TICKS.items() if low >= _EARLIEST * t and high <= _LATEST * t)
    return next(fitting, None)


def _quantile_marks(numbers: Numbers) -> NDArray[np.float64]:
    return np.unique(numbers.quantiles.quantiles([i / (_MARKS - 1) for i in range(_MARKS)]))


def _longest(steps: NDArray[np.float64], *, regular: bool) -> float:
    """The longest step that is no gap, in microseconds.

    In a regular series that is one and a half steps. Otherwise the spacing of independent events,
    which is exponential, exceeds mean * ln(m / level) anywhere among m steps with chance `level`.
    The mean is taken from the median (mean * ln 2), which gaps do not move.
    """
    if not len(steps):
        return math.inf
    median = float(np.median(steps))
    return 1.5 * median if regular else median / math.log(2) * math.log(len(steps) / ALARM_LEVEL)


def _moment(microseconds: float) -> dt.datetime:
    latest = (dt.datetime.max - _EPOCH) // dt.timedelta(microseconds=1)
    earliest = (dt.datetime.min - _EPOCH) // dt.timedelta(microseconds=1)
    inside = min(max(round(microseconds), earliest), latest)
    return _EPOCH + dt.timedelta(microseconds=inside)
