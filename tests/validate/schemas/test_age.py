from __future__ import annotations

from datetime import timedelta

import pytest

from gristmill.validate.schemas.age import parse_age


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("2 days", timedelta(days=2)),
        ("90 min", timedelta(minutes=90)),
        (" 1.5h ", timedelta(minutes=90)),
        ("1 Week", timedelta(weeks=1)),
        ("30s", timedelta(seconds=30)),
    ],
)
def test_ages_as_people_write_them(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "2", "days", "two days", "0 days", "-1 day", "2 months"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an age such as '2 days' or '6 hours', found"):
        parse_age(text)


def test_an_age_beyond_all_times_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an age below a million years, found"):
        parse_age(f"{'9' * 30} weeks")
