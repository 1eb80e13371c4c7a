"""Casting one value to a kind: what `kinds.cast` does to a column."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

from gristmill.validate.schemas.feature_spec import SpecKind

BAD = object()
"""What a value that does not fit is cast to; None is a missing one."""

_WHOLE = re.compile(r"[+-]?\d+(?:\.0+)?", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)?)?)?", re.ASCII
)
_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
LEAST, MOST = -(2**63), 2**63 - 1
"""The outermost integers of 64 bits."""
_MOST_DIGITS = 1_000
_START = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def fit_of(kind: SpecKind) -> Callable[[object], object]:
    """Return the function that casts a value to a kind: the value, None (missing) or `BAD`."""
    return _FITS[kind]


def microseconds(moment: dt.date) -> int:
    """A date or time in microseconds since 1970-01-01 UTC; without a zone it is taken as UTC."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - _START) // _MICROSECOND


def _any(value: object) -> object:
    return value


def _string(value: object) -> object:
    return value if isinstance(value, str) else BAD


def _int(value: object) -> object:
    if type(value) is int:
        return value if LEAST <= value <= MOST else BAD
    if isinstance(value, float):
        return _whole(value)
    if not isinstance(value, str):
        return BAD
    digits = value.strip()
    if len(digits) > _MOST_DIGITS or not _WHOLE.fullmatch(digits):
        return BAD if digits else None
    whole = int(digits.partition(".")[0])
    return whole if LEAST <= whole <= MOST else BAD


def _whole(value: float) -> object:
    if value != value:
        return None
    return _int(int(value)) if value.is_integer() else BAD


def _float(value: object) -> object:
    if type(value) is float or type(value) is int:
        return value
    if not isinstance(value, str):
        return BAD
    digits = value.strip()
    try:
        number = float(digits)
    except ValueError:
        return BAD if digits else None
    return BAD if _is_odd(digits) else number


def _is_odd(digits: str) -> bool:
    """Whether Python alone reads a number here: `1_000`, or digits beyond ASCII."""
    return "_" in digits or not digits.isascii()


def _bool(value: object) -> object:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return value == 1 if isinstance(value, int | float) and value in (0, 1) else BAD
    word = value.strip().lower()
    return _WORDS.get(word, BAD) if word else None


def _time(value: object) -> object:
    if isinstance(value, dt.date):
        return microseconds(value)
    if not isinstance(value, str):
        return BAD
    spelled = value.strip()
    if not _MOMENT.fullmatch(spelled):
        return BAD if spelled else None
    try:
        return microseconds(dt.datetime.fromisoformat(spelled.upper()))
    except ValueError:
        return BAD


def _bytes(value: object) -> object:
    return value if isinstance(value, bytes | str) else BAD


_FITS: dict[SpecKind, Callable[[object], object]] = {
    "any": _any,
    "string": _string,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "time": _time,
    "bytes": _bytes,
}
