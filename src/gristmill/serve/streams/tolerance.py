"""How far a stream's answers may be from those in full: what stands in the query of its path."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

from gristmill.serve.refusal import Refusal

Levels: TypeAlias = 'int | Literal["decoded", "none"]'

_MOST_LEVELS = 254
_SHARE = re.compile(r"\d*\.?\d{1,40}(e-?\d{1,2})?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,3}", re.ASCII)


class Tolerance(NamedTuple):
    """What of a stream need not be computed.

    Attributes:
        error: relative L2 error that answers may have, above 0 and at most 1, held by measuring;
            None: they are exact.
        noise: grey levels, 0 to 254, that are no change of the picture; `decoded`: what suits
            decoded video, `none`: any bit is a change.
    """

    error: float | None = None
    noise: Levels = "decoded"


EXACT = Tolerance()
"""Answers are exact but for the noise of decoded video: what holds where a client says nothing."""


def tolerance_of(query: bytes) -> Tolerance:
    """Read the query of a stream's path, such as `error=0.01&noise=none`.

    Raises:
        Refusal: 400, a parameter is unknown, comes twice or has a value that it cannot have.
    """
    if not query:
        return EXACT
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in Tolerance._fields or name in found:
            more = " a second time" if name in found else ""
            raise _wrong(f"expected the parameters error and noise, found {name[:40]!r}{more}")
        found[name] = value
    error, noise = found.get("error"), found.get("noise")
    return Tolerance(
        EXACT.error if error is None else _share(error),
        EXACT.noise if noise is None else _noise(noise),
    )


def _share(text: str) -> float:
    share = float(text) if _SHARE.fullmatch(text) else 0.0
    if not 0.0 < share <= 1.0:
        raise _wrong(f"error: expected a share above 0, at most 1, found {text[:40]!r}")
    return share


def levels_of(text: str) -> Levels:
    """Read the grey levels that are no change of a picture.

    Raises:
        ValueError: they are others; says what is expected.
    """
    if text == "decoded":
        return "decoded"
    if text == "none":
        return "none"
    if not _NUMBER.fullmatch(text) or int(text) > _MOST_LEVELS:
        raise ValueError(
            f"expected decoded, none or grey levels from 0 to {_MOST_LEVELS}, found {text[:40]!r}"
        )
    return int(text)


def _noise(text: str) -> Levels:
    try:
        return levels_of(text)
    except ValueError as error:
        raise _wrong(f"noise: {error}") from None


def _wrong(message: str) -> Refusal:
    return Refusal(400, "bad_parameter", message, fix="such as ?error=0.01&noise=none")
