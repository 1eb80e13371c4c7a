from __future__ import annotations

import datetime as dt

import pytest

from gristmill.core.errors import UsageError
from gristmill.core.moments import parse_moment

ZONE = dt.timezone(dt.timedelta(hours=2))
NOW = dt.datetime(2026, 11, 18, 12, 0, tzinfo=ZONE)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-18T12:00:00+02:00"),
        ("today", "2026-11-18T12:00:00+02:00"),
        ("yesterday", "2026-11-17T23:59:59.999999+02:00"),
        ("Last  Tuesday", "2026-11-17T23:59:59.999999+02:00"),
        ("wednesday", "2026-11-11T23:59:59.999999+02:00"),
        ("3 days ago", "2026-11-15T12:00:00+02:00"),
        ("1 hour ago", "2026-11-18T11:00:00+02:00"),
        ("2026-11-03", "2026-11-03T23:59:59.999999+02:00"),
        ("2026-11-03 14:30", "2026-11-03T14:30:00+02:00"),
        ("2026-11-03T14:30:00Z", "2026-11-03T14:30:00+00:00"),
    ],
)
def test_moments_as_people_write_them(text: str, expected: str) -> None:
    found = parse_moment(text, NOW)
    assert found == pytest.approx(dt.datetime.fromisoformat(expected).timestamp(), abs=1e-5)


def test_what_is_no_moment() -> None:
    with pytest.raises(UsageError, match="expected a moment, found 'soonish'"):
        parse_moment("soonish", NOW)
