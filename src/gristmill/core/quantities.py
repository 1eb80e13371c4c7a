"""Bytes, seconds and counts: parsed from what people write, printed as people read."""

from __future__ import annotations

import re

from gristmill.core.errors import UsageError

_BYTE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SECOND_UNITS = {"ms": 1e-3, "": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-zA-Z]*)\s*", re.ASCII)


def parse_bytes(text: str | int, name: str = "") -> int:
    """Parse a size such as `"2GB"`, `"512 MiB"` or a plain number of bytes.

    Args:
        text: what is written.
        name: of the option or the key that says so.

    Raises:
        UsageError: the text is not a number with a known unit.
    """
    if isinstance(text, int):
        return text
    number, unit = _split(text, "a size such as '2GB' or '512 MiB'", name)
    if unit.upper() not in _BYTE_UNITS:
        raise UsageError(
            f"{_of(name)}unknown unit {unit!r} in size {text!r}", fix="use B, KB, MB, GB or KiB..."
        )
    return int(number * _BYTE_UNITS[unit.upper()])


def parse_seconds(text: str | float, name: str = "") -> float:
    """Parse a duration such as `"250ms"`, `"1.5 h"` or a plain number of seconds.

    Args:
        text: what is written.
        name: of the option or the key that says so.

    Raises:
        UsageError: the text is not a number with a known unit.
    """
    if isinstance(text, int | float):
        return float(text)
    number, unit = _split(text, "a duration such as '250ms' or '2h'", name)
    if unit.lower() not in _SECOND_UNITS:
        raise UsageError(
            f"{_of(name)}unknown unit {unit!r} in duration {text!r}", fix="use ms, s, min, h or d"
        )
    return number * _SECOND_UNITS[unit.lower()]


def format_bytes(bytes_: float) -> str:
    """Print a size with three digits: `0 B`, `999 B`, `1.21 MB`."""
    size = float(bytes_)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{_three_digits(size)} {unit}"
        size /= 1000
    return f"{_three_digits(size)} TB"


def format_seconds(seconds: float) -> str:
    """Print a duration with at most three digits: `0.8 ms`, `12.3 s`, `4 min 05 s`."""
    if seconds < 0.9995:
        return f"{_three_digits(seconds * 1000)} ms"
    if seconds < 99.95:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_count(count: float) -> str:
    """Print a count with thousands separators: `5,572`."""
    return f"{count:,.0f}"


def many(count: int, word: str) -> str:
    """Print a number of things: `1 row`, `5,572 rows`."""
    return f"{format_count(count)} {word}{'' if count == 1 else 's'}"


def _split(text: str, wanted: str, name: str) -> tuple[float, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise UsageError(f"{_of(name)}expected {wanted}, found {text!r}")
    return float(match[1]), match[2]


def _of(name: str) -> str:
    return f"{name}: " if name else ""


def _three_digits(value: float) -> str:
    if abs(value) < 1e-4 or abs(value) >= 99.95 or value == int(value):
        return f"{value:.0f}"
    return (
        f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2g}" if value < 1 else f"{value:.2f}"
    )
