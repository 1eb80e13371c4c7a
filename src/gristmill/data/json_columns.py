"""Blocks of JSON Lines in which every line has the same keys, as columns, without a Python object.

Only what is plain is read here: that a block is, and that its lines are what they should be, is
made certain first. Everything else is `JsonReader`'s to judge, value by value.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.data.column_kinds import dtype_of, fitted
from gristmill.data.text_blocks import TextBlock

_SPACE, _QUOTE, _COLON, _BACKSLASH, _NULL = b' ":\\n'
_DECODE = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KINDS = {"int", "float", "bool", "string", "time"}
_INEXACT = 2**53
"""From here on a float may be another whole number than the one that was written."""


def plain_keys(block: TextBlock) -> tuple[str, ...]:
    """Return the keys that each line has, in this order and no others; none if lines differ.

    A line that has them may still be no JSON. Keys of nested objects count like those of the line.
    """
    found = _colons(block)
    return found[0] if found else ()


def plain_frame(
    block: TextBlock, columns: Sequence[str], kinds: Mapping[str, str]
) -> pl.DataFrame | None:
    """Return the rows of a block, None unless each value is of its column's kind or null.

    Args:
        block: the lines.
        columns: of the frame; null where lines have no such key.
        kinds: column -> kind: Int64, Float64, Boolean, String, or of times Datetime where all of
            the block fit.
    """
    odd = "" in columns or not {kinds[name] for name in columns} <= _KINDS
    if odd or _has_surrogates(block.data):
        return None
    found = _colons(block)
    if found is None or not set(found[0]) <= set(columns):
        return None
    keys, colons = found
    texts = [at for at, name in enumerate(keys) if kinds[name] in ("string", "time")]
    if not all(_are_texts(block.data, colons[:, at]) for at in texts):
        return None
    types = {name: _dtype(kinds[name]) for name in columns}
    try:
        frame = pl.read_ndjson(io.BytesIO(block.data), schema=types)
    except pl.exceptions.PolarsError:
        return None
    floats = [name for name in columns if kinds[name] == "float"]
    most = frame.select(pl.col(floats).abs().max()).row(0) if floats else ()
    if frame.height != len(colons) or any(each is not None and each >= _INEXACT for each in most):
        return None
    times = [name for name in columns if kinds[name] == "time"]
    return frame.with_columns(fitted(frame[name], "time") for name in times) if times else frame


def _colons(block: TextBlock) -> tuple[tuple[str, ...], NDArray[np.int64]] | None:
    """Return the keys of all lines, and int64[lines, keys]: where the quotes that close them are.

    None unless each line has the same keys in the same order. In JSON a quote that no backslash
    precedes begins or ends a string, and a string that ends before a colon, or before white space
    and one, is a key: so nothing that is not found here is one.
    """
    data, keys = block.data, _first_keys(block.data)
    values = np.frombuffer(data, np.uint8)
    quotes = _quotes(values, escapes=b"\\" in data) if keys else None
    if quotes is None or (quotes[:-1] & (values[1:] <= _SPACE)).any():
        return None
    found = np.flatnonzero(quotes[:-1] & (values[1:] == _COLON))
    lines = block.feeds + (not data.endswith(b"\n"))
    if len(found) != lines * len(keys):
        return None
    places = found.reshape(lines, len(keys))
    return (keys, places) if _close(data, places[1:], keys) else None


def _first_keys(data: bytes) -> tuple[str, ...]:
    """Return the keys of the first line; none if it is no object."""
    try:
        return tuple(_DECODE(data[: data.find(b"\n") + 1] or data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def _quotes(values: NDArray[np.uint8], *, escapes: bool) -> NDArray[np.bool_] | None:
    """Return bool[n]: where strings begin or end; None where two backslashes precede a quote."""
    quotes: NDArray[np.bool_] = values == _QUOTE
    if not escapes:
        return quotes
    backslashes = values == _BACKSLASH
    escaped = quotes[2:] & backslashes[1:-1]
    if (escaped & backslashes[:-2]).any():
        return None
    quotes[2:] &= ~escaped
    return quotes


def _close(data: bytes, places: NDArray[np.int64], keys: Sequence[str]) -> bool:
    """Tell whether the quotes of each line but the first close its keys, from its beginning on.

    Looks at eight bytes before all of them at a time.
    """
    texts = [b'"' + key.encode() for key in keys]
    texts[0] = b"\n{" + texts[0]
    width = -(-max(map(len, texts)) // 8) * 8
    if not len(places):
        return True
    if int(places[0, 0]) < width:
        data, places = bytes(width) + data, places + width
    words = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
    for start in range(0, width, 8):
        expected, masks = (
            np.frombuffer(b"".join(each.rjust(width, b"\0")[start:][:8] for each in rows), "<u8")
            for rows in (texts, [b"\xff" * len(text) for text in texts])
        )
        if ((words[places + (start - width)] ^ expected) & masks).any():
            return False
    if b"\\" not in data:
        return True
    before = places - np.array([len(text) + 1 for text in texts])
    return bool((np.frombuffer(data, np.uint8)[before] != _BACKSLASH).all())


def _are_texts(data: bytes, colons: NDArray[np.int64]) -> bool:
    """Tell whether the values of a key are strings or null, by their first bytes."""
    values = np.frombuffer(data, np.uint8)
    starts = values.take(colons + 2, mode="clip")
    spaced = starts == _SPACE
    if spaced.any():
        starts = np.where(spaced, values.take(colons + 3, mode="clip"), starts)
    return bool(((starts == _QUOTE) | (starts == _NULL)).all())


def _has_surrogates(data: bytes) -> bool:
    """Tell whether there may be escaped halves of characters, which Polars takes for others."""
    return b"\\" in data and (b"\\ud" in data or b"\\uD" in data)


def _dtype(kind: str) -> pl.DataType:
    return pl.String() if kind == "time" else dtype_of(kind)
