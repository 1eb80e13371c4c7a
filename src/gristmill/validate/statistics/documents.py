"""States as plain documents that JSON can hold, and back, strictly.

Arrays and sketches become base64 text of their little-endian bytes, so that equal states give equal
documents on every machine.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Self, get_args, get_origin

import msgspec
import numpy as np

from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.quantiles import Quantiles

_SKETCHES = (Quantiles, FrequentValues)


class Documented:
    """A base for states: dataclasses of figures, arrays, sketches and other states."""

    def to_document(self) -> dict[str, object]:
        """Spell the state as a JSON-able document; equal states give equal documents."""
        document: dict[str, object] = msgspec.to_builtins(self, enc_hook=_encode, str_keys=True)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """Read what `to_document` wrote.

        Raises:
            ValueError: the document lacks a key, has one too many, or holds something else.
        """
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if set(document) != known:
            raise ValueError(
                f"expected the keys {sorted(known)} of {cls.__name__}, found {sorted(document)}"
            )
        return msgspec.convert(document, cls, dec_hook=_decode, str_keys=True)


def _encode(value: object) -> object:
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"shape": list(value.shape), "data": base64.b64encode(plain.tobytes()).decode()}
    if isinstance(value, _SKETCHES):
        return base64.b64encode(value.to_bytes()).decode()
    raise NotImplementedError(f"no document for a {type(value).__qualname__}")


class _ArrayDocument(msgspec.Struct, forbid_unknown_fields=True):
    shape: list[int]
    data: bytes


def _decode(kind: Any, value: object) -> object:
    if get_origin(kind) is np.ndarray:
        dtype = np.dtype(get_args(get_args(kind)[1])[0]).newbyteorder("<")
        array = msgspec.convert(value, _ArrayDocument)
        # Read-only bytes are copied, so that what is read is as writable as what was made.
        flat = np.frombuffer(array.data, dtype=dtype).astype(dtype.newbyteorder("="))
        return flat.reshape(array.shape)
    readers: dict[Any, Callable[[bytes], object]] = {k: k.from_bytes for k in _SKETCHES}
    try:
        return readers[kind](msgspec.convert(value, bytes))
    except (RuntimeError, IndexError) as error:  # what datasketches raises on damage
        raise ValueError(f"damaged sketch: {error}") from error
