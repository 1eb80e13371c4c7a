from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.core.quantities import (
    format_bytes,
    format_count,
    format_seconds,
    parse_bytes,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("2GB", 2 * 10**9),
        ("512 MiB", 512 * 2**20),
        ("1.5kb", 1500),
        ("7", 7),
        (7, 7),
        ("1e3B", 1000),
        (" .5 KB ", 500),
    ],
)
def test_parse_bytes(text, bytes_):
    assert parse_bytes(text) == bytes_


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1.5 h", 5400.0), ("3", 3.0), (3, 3.0), ("2min", 120.0), ("1D", 86400.0)],
)
def test_parse_seconds(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 2GB", "many", "1GB!", "٣MB"])
def test_not_a_size(text):
    with pytest.raises(UsageError) as error:
        parse_bytes(text)
    assert str(error.value) == f"expected a size such as '2GB' or '512 MiB', found {text!r}"


@pytest.mark.parametrize("parse", [parse_bytes, parse_seconds])
@pytest.mark.parametrize("text", ["lots", "3 cups"])
def test_who_says_so_is_named(parse, text):
    with pytest.raises(UsageError, match=r"^--cache: "):
        parse(text, "--cache")


def test_unknown_units():
    with pytest.raises(UsageError, match="unknown unit 'XB' in size '2XB'"):
        parse_bytes("2XB")
    with pytest.raises(UsageError, match="unknown unit 'weeks' in duration '2 weeks'"):
        parse_seconds("2 weeks")


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (999_499, "999 KB"),
        (999_500, "1 MB"),
        (1_210_000, "1.21 MB"),
        (12_340_000, "12.3 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_format_bytes(bytes_, text):
    assert format_bytes(bytes_) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0008, "0.8 ms"),
        (0.25, "250 ms"),
        (0.9999, "1 s"),
        (1e-9, "0 ms"),
        (12.34, "12.3 s"),
        (99.94, "99.9 s"),
        (99.96, "1 min 40 s"),
        (245, "4 min 05 s"),
        (5999.6, "1 h 40 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_format_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_format_count():
    assert format_count(5572) == "5,572"
    assert format_count(0.4) == "0"


@given(st.integers(0, 10**16))
def test_printed_sizes_parse_back_to_three_digits(bytes_):
    assert parse_bytes(format_bytes(bytes_)) == pytest.approx(bytes_, rel=0.006, abs=0.5)


@given(st.floats(0, 90))
def test_printed_durations_parse_back(seconds):
    assert parse_seconds(format_seconds(seconds)) == pytest.approx(seconds, rel=0.06, abs=1e-4)
