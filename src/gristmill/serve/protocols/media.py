"""Which form a body has, and which one an answer should have.

Source: RFC 9110, sections 8.3 and 12.5.1.
"""

from __future__ import annotations

from functools import lru_cache

from gristmill.serve.refusal import Refusal

JSON = "application/json"
CSV = "text/csv"
BYTES = "application/octet-stream"
NPY = "application/x-npy"
KINDS = (JSON, CSV, BYTES, NPY)
_LONGEST = 500
_CHARSETS = ("", "utf-8", "us-ascii")


class Media:
    """A content type: its kind, and the parameter `header` of CSV."""

    __slots__ = ("header", "kind")

    def __init__(self, kind: str, header: str | None = None) -> None:
        self.kind, self.header = kind, header


@lru_cache(maxsize=128)
def content_kind(said: bytes | None) -> Media:
    """Return the form of a body from its `Content-Type`; JSON where the request does not say.

    Raises:
        Refusal: 415, it is none of `KINDS`, or in another charset than UTF-8.
    """
    if said is None:
        return Media(JSON)
    text = said.decode("latin-1")
    kind, _, rest = text.partition(";")
    kind = kind.strip().lower()
    parameters = _parameters(rest)
    good = kind in KINDS and parameters.get("charset", "").lower() in _CHARSETS
    header = parameters.get("header")
    if not good or header not in (None, "present", "absent"):
        raise Refusal(
            415,
            "wrong_content_type",
            f"expected content type {', '.join(KINDS)}, found {text[:99]}",
            fix=f"send the header Content-Type: {JSON}",
        )
    return Media(kind, header)


@lru_cache(maxsize=128)
def accepted_kind(said: bytes | None) -> str:
    """Return the form of an answer from `Accept`: of what is wanted most, the first of `KINDS`.

    Raises:
        Refusal: 406, none of them is wanted.
    """
    if said is None or said in (b"*/*", b"application/json"):
        return JSON
    text = said.decode("latin-1")[:_LONGEST]
    wishes = [_wish(part) for part in text.split(",") if part.strip()]
    if not wishes:
        return JSON
    chosen = max(KINDS, key=lambda kind: _quality(kind, wishes))  # the first of equals
    if _quality(chosen, wishes) <= 0:
        raise Refusal(
            406,
            "not_acceptable",
            f"expected Accept to allow one of {', '.join(KINDS)}, found {text[:99]}",
        )
    return chosen


def _quality(kind: str, wishes: list[tuple[str, float]]) -> float:
    """Return how much a form is wanted; the most exact range decides."""
    group = kind.partition("/")[0] + "/*"
    for name in (kind, group, "*/*"):
        found = [quality for wish, quality in wishes if wish == name]
        if found:
            return max(found)
    return 0.0


def _wish(part: str) -> tuple[str, float]:
    kind, _, rest = part.partition(";")
    try:
        quality = float(_parameters(rest).get("q", "1"))
    except ValueError:
        quality = 0.0
    return kind.strip().lower(), quality if 0 <= quality <= 1 else 0.0


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
