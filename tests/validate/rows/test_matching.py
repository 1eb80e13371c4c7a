"""One text against a pattern: right, and in bounded time."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.rows.matching import matcher

PATTERNS = [
    r"[A-Z]{2}-\d{4}",
    r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    r"\d+(\.\d+)?",
    "a|b|cd",
    "(a+)+b",
    "a*?b{1,2}",
    r"\p{L}+",
    r"[a-c&&b]",
    "",
    "a.c",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None)
@given(text=st.text("abcd@.-019 \nAF,é", max_size=12))
def test_as_in_a_whole_column(pattern: str, text: str) -> None:
    column = pl.Series([text]).str.contains(f"^(?:{pattern})$")
    assert matcher(pattern)(text) == column[0]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (PATTERNS[0], "AB-1234"),
        (PATTERNS[1], "ann@home.example"),
        (PATTERNS[2], "12345678-1234-abcd-ABCD-123456789abc"),
        (PATTERNS[3], "12.5"),
        (PATTERNS[4], "cd"),
        (PATTERNS[5], "aab"),
        (PATTERNS[7], "é"),
    ],
)
def test_whole_texts_match(pattern: str, text: str) -> None:
    matches = matcher(pattern)
    assert matches(text)
    assert not matches(f"{text}\n")
    assert not matches(f"\n{text}")


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "a*a*a*a*a*b", "(?:a{1,9}){1,9}b", "(a*)*b"]
)
def test_no_text_takes_long(pattern: str) -> None:
    # Python's engine would be at it for longer than anyone waits.
    assert not matcher(pattern)("a" * 5_000 + "c")
