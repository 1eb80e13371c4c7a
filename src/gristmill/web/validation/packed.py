"""Packed rows: the HTML of thousands of rows, compressed into the page and unpacked when shown."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence

import msgspec
from markupsafe import Markup

from gristmill.web.text import clean
from gristmill.web.validation.feature_details import render_details
from gristmill.web.validation.feature_rows import render_row
from gristmill.web.validation.figures import Pair

CHUNK = 50
"""Features whose details are unpacked together."""
_LEVEL = 6


def pack(value: object) -> str:
    """Compress a JSON-able value (zlib, RFC 1950) into base64, safe in any place of a page."""
    return base64.b64encode(zlib.compress(msgspec.json.encode(value), _LEVEL)).decode()


def packed_rows(pairs: Sequence[Pair]) -> str:
    """Pack the keys to sort and filter by, and the row's HTML, of every feature.

    Each is `[name, kind, difference, missing, suspicious, html]`, in the order of the table.
    """
    return pack([[*sort_keys(pair), str(_tight(render_row(pair, lean=True)))] for pair in pairs])


def packed_details(pairs: Sequence[Pair]) -> Iterator[str]:
    """Pack the details of 50 features at a time."""
    for start in range(0, len(pairs), CHUNK):
        part = pairs[start : start + CHUNK]
        yield pack([str(_tight(render_details(pair, lean=True))) for pair in part])


def sort_keys(pair: Pair) -> tuple[str, str, float, float, bool]:
    """Return name, kind, difference, missing share and whether the feature is suspicious."""
    return (
        clean(pair.name[:200]),
        pair.kind,
        round(pair.distance, 5),
        round(pair.missing, 5),
        pair.suspicious,
    )


def _tight(html: Markup) -> Markup:
    """Drop the line ends between tags."""
    return Markup(html.replace("\n", " "))  # noqa: S704
