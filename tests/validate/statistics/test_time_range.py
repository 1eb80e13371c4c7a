from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.time_range import TimeRange

START = dt.datetime(2024, 3, 1)
HOUR = dt.timedelta(hours=1)


def _range(times: list[dt.datetime]) -> TimeRange:
    found = TimeRange.of(Feature.of(pl.Series("t", times)))
    assert found is not None
    return found


def test_a_regular_series_shows_the_steps_it_lacks() -> None:
    times = [START + i * HOUR for i in range(100) if i not in (40, 41, 70)]
    found = _range(times[::-1])
    assert (found.first, found.last, found.span) == (START, START + 99 * HOUR, 99 * HOUR)
    assert (found.step, found.regular, found.exact) == (HOUR, True, True)
    assert [(gap.start - START, gap.length) for gap in found.gaps] == [
        (39 * HOUR, 3 * HOUR),
        (69 * HOUR, 2 * HOUR),
    ]
    assert found.describe()["step_seconds"] == 3600.0


@pytest.mark.parametrize("seed", range(10))
def test_random_arrivals_have_gaps_only_where_something_is_missing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = np.cumsum(rng.exponential(60, 2000))
    times = [START + dt.timedelta(seconds=float(s)) for s in seconds]
    assert _range(times).gaps == ()
    late = times[:900] + [time + dt.timedelta(hours=2) for time in times[900:]]
    (gap,) = _range(late).gaps
    assert gap.start == times[899]
    assert not _range(late).regular


def test_age_is_counted_from_the_last_time() -> None:
    found = _range([START, START + HOUR])
    assert found.age(START + 3 * HOUR) == 2 * HOUR
    zoned = (START + 3 * HOUR).replace(tzinfo=dt.timezone(HOUR))
    assert found.age(zoned) == HOUR
    assert found.age(START) == -HOUR


def test_sketched_times_give_an_average_step_and_the_large_gaps() -> None:
    seconds = np.arange(100_000) * 10 + np.where(np.arange(100_000) < 50_000, 0, 864_000)
    found = _range(pl.Series(seconds * 10**6).cast(pl.Datetime("us")).to_list())
    assert not found.exact
    assert found.step is not None
    assert found.step.total_seconds() == pytest.approx(18.64, rel=0.01)
    assert len(found.gaps) == 1
    assert found.gaps[0].length.total_seconds() == pytest.approx(864_000, rel=0.01)


@pytest.mark.parametrize(("unit", "ticks"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("name", ["trip_start_timestamp", "created_at", "eventTime", "ts", "date"])
def test_unix_times_are_told_by_range_and_name(unit: str, ticks: int, name: str) -> None:
    feature = Feature.of(pl.Series(name, [1_400_000_000 * ticks, 1_400_003_600 * ticks]))
    found = TimeRange.of(feature, name)
    assert found is not None
    assert found.unit == unit
    assert found.first == dt.datetime(2014, 5, 13, 16, 53, 20)
    assert found.span == HOUR


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        ([1_400_000_000, 1_500_000_000], "customer_id"),
        ([1_400_000_000, 1_500_000_000], "status"),
        ([100, 1_400_000_000], "timestamp"),
        ([1.4e9, 1.5e9], "timestamp"),
        ([], "timestamp"),
        (["2024-01-01"], "timestamp"),
    ],
)
def test_other_columns_have_no_time_range(cells: list[object], name: str) -> None:
    assert TimeRange.of(Feature.of(pl.Series(name, cells)), name) is None


def test_times_beyond_the_calendar_are_held_at_its_ends() -> None:
    column = pl.Series([0, 2**62], dtype=pl.Int64).cast(pl.Datetime("us"))
    found = TimeRange.of(Feature.of(column))
    assert found is not None
    assert found.last == dt.datetime.max
