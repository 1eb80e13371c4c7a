"""Rules of time: bounds, age, and the order of rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Self

import polars as pl

from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_seconds, parse_seconds
from gristmill.validate.checks.cells import Cells
from gristmill.validate.checks.range_rules import figures_outside, outside
from gristmill.validate.checks.rule import Draft, Rule, Whole
from gristmill.validate.checks.seen import NOTHING, Seen
from gristmill.validate.checks.wording import between, listed, of, verb
from gristmill.validate.kinds import cast
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.statistics.feature import Feature

_START = dt.datetime(1970, 1, 1)
_AHEAD = dt.timedelta(hours=14)
"""No time zone is further ahead of UTC; times without a zone may be in any."""
_WORDS = {"weeks": 7 * 86400, "week": 7 * 86400, "days": 86400, "day": 86400, "hours": 3600,
          "hour": 3600, "minutes": 60, "minute": 60, "seconds": 1, "second": 1}  # fmt: skip


class OutsideTimes(Rule):
    """Times before `earliest` or after `latest`."""

    code = "out_of_range"

    def __init__(self, name: str, spec: FeatureSpec) -> None:
        super().__init__(name, spec)
        self._low = _moment(spec.earliest, name, "earliest")
        self._high = _moment(spec.latest, name, "latest")

    def _mask(self, cells: Cells) -> pl.Series:
        return outside(cells.values.to_physical(), self._low, self._high)

    def _figures(self, feature: Feature) -> Seen:
        seen = figures_outside(feature.times, self._low, self._high, feature.present)
        return Seen(seen.count, seen.total, exact=seen.exact)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if whole.beyond(self.seen, self.spec.max_outside):
            bounds = between(self.spec.earliest, self.spec.latest)
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is', 'are')} not {bounds}{listed(self.seen)}"
            )
            yield Draft(self.code, message, self.seen, self._widen(whole))

    def _widen(self, whole: Whole) -> Edit | None:
        times = whole.feature.times
        if times is None or times.low is None or times.high is None:
            return None
        if self._low is not None and times.low < self._low:
            return self.edit("earliest", time_of(times.low).isoformat())
        if self._high is not None and times.high > self._high:
            return self.edit("latest", time_of(times.high).isoformat())
        return None


class Stale(Rule):
    """The newest time is older than the table may be."""

    code = "stale_time"

    def __init__(self, name: str, spec: FeatureSpec) -> None:
        super().__init__(name, spec)
        self._limit = duration_seconds(spec.max_age or "", name)

    def _observe(self, cells: Cells, part: Feature) -> None:
        """Statistics tell it all."""

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        times = whole.feature.times
        if times is None or times.high is None:
            return
        newest = time_of(times.high)
        age = (whole.now - newest).total_seconds()
        if age > self._limit:
            message = (
                f"the newest time is {newest}, {_age(age)} old; expected at most "
                f"{self.spec.max_age}"
            )
            yield Draft(self.code, message, Seen(whole.present, whole.present))


class Future(Rule):
    """Times after the check, in a column whose age is limited."""

    code = "future_time"

    def __init__(self, name: str, spec: FeatureSpec, now: dt.datetime) -> None:
        super().__init__(name, spec)
        self._latest = microseconds(now + _AHEAD)

    def _mask(self, cells: Cells) -> pl.Series:
        return outside(cells.values.to_physical(), None, self._latest)

    def _figures(self, feature: Feature) -> Seen:
        seen = figures_outside(feature.times, None, self._latest, feature.present)
        return Seen(seen.count, seen.total, exact=seen.exact)

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if self.seen.count:
            lie = verb(self.seen, "lies", "lie")
            message = (
                f"{of(self.seen)} {lie} in the future of {whole.now:%Y-%m-%d %H:%M} UTC"
                f"{listed(self.seen)}"
            )
            yield Draft(self.code, message, self.seen)


class OutOfOrder(Rule):
    """Values below the one before; with a strict order, those that equal it too."""

    code = "out_of_order"
    _first: Any = None
    _first_seen: Seen = NOTHING
    _last: Any = None

    def _observe(self, cells: Cells, part: Feature) -> None:
        values = cells.values.fill_nan(None) if cells.values.dtype.is_float() else cells.values
        present = values.is_not_null()
        if self._first is None and present.any():
            start = present & (present.cum_sum() == 1)
            self._first, self._first_seen = values.filter(start)[0], cells.seen(start, 0)
        self.seen += cells.seen(self._fallen(values), cells.present)

    def merge(self, later: Self) -> None:
        """See `Rule.merge`; the first value of the later parts has one before it after all."""
        if self._last is not None and later._first is not None:
            level = self.spec.order == "strict" and later._first == self._last
            if level or later._first < self._last:
                self.seen += later._first_seen
        super().merge(later)
        if self._first is None:
            self._first, self._first_seen = later._first, later._first_seen
        self._last = self._last if later._last is None else later._last

    def _recall(self, feature: Feature) -> None:
        """Statistics know no order."""

    def _fallen(self, values: pl.Series) -> pl.Series:
        """The values that are out of order; the last one is remembered."""
        before = values.shift(1).fill_null(strategy="forward")
        if self._last is not None:
            before = before.fill_null(self._last)
        present = values.drop_nulls()
        self._last = present[-1] if len(present) else self._last
        return values <= before if self.spec.order == "strict" else values < before

    def _judge(self, whole: Whole) -> Iterator[Draft]:
        if self.seen.count:
            rise = "above" if self.spec.order == "strict" else "at or above"
            message = (
                f"{of(self.seen)} {verb(self.seen, 'is', 'are')} not {rise} the one before"
                f"{listed(self.seen)}"
            )
            yield Draft(
                self.code, message, self.seen, Edit(self.name, "order", self.spec.order, None)
            )


def duration_seconds(text: str, feature: str) -> float:
    """Parse a duration such as "2 days", "6 hours" or "90min".

    Raises:
        UsageError: the text is no duration; names the feature.
    """
    number, _, word = text.strip().partition(" ")
    try:
        if word.strip().lower() in _WORDS:
            return parse_seconds(f"{number}s") * _WORDS[word.strip().lower()]
        return parse_seconds(text)
    except UsageError as error:
        raise UsageError(
            f"expected a duration such as '2 days' or '6 hours', found {text!r}",
            where=f"schema, features.{feature}.max_age",
        ) from error


def time_of(microseconds_: float) -> dt.datetime:
    """The time that is this many microseconds after 1970-01-01, UTC, without a zone."""
    return _START + dt.timedelta(microseconds=int(microseconds_))


def microseconds(moment: dt.datetime) -> int:
    """The inverse of `time_of`."""
    return (moment - _START) // dt.timedelta(microseconds=1)


def _moment(bound: str | None, feature: str, key: str) -> int | None:
    if bound is None:
        return None
    parsed = cast(pl.Series([bound]), "time").column[0]
    if parsed is None:
        raise UsageError(
            f"expected a time in ISO 8601, found {bound!r}",
            where=f"schema, features.{feature}.{key}",
        )
    return microseconds(parsed)


def _age(seconds: float) -> str:
    return f"{seconds / 86400:,.1f} days" if seconds >= 2 * 86400 else format_seconds(seconds)
