"""Arrays as requests carry them, checked against a field and made into columns.

Everything here is about whole arrays: one look a tensor, none an element in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gristmill.serve.protocols.instances import bad_records
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.finite import all_finite
from gristmill.serve.runners.records import RecordError
from gristmill.serve.runners.rows import Column, Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.store.bundle import Field

DATATYPE = {
    np.dtype(name): text
    for name, text in {
        "bool": "BOOL",
        **{
            f"{sign}int{bits}": f"{sign.upper()}INT{bits}"
            for sign in ("", "u")
            for bits in (8, 16, 32, 64)
        },
        **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    }.items()
}
"""Names of the Open Inference Protocol for element types of numpy; BYTES stands for strings."""
DTYPE = {text: dtype for dtype, text in DATATYPE.items()}
_OF_KIND = {"int": np.int64, "float": np.float64, "bool": np.bool_, "image": np.uint8}


def dtype_of(field: Field) -> np.dtype[Any]:
    """Return the element type in which a field's values travel; strings have none."""
    return np.dtype(field.dtype or _OF_KIND[field.kind])


def datatype_of(field: Field) -> str:
    """Return the protocol's name for a field's element type."""
    return "BYTES" if field.kind == "string" else DATATYPE[dtype_of(field)]


def column_of(field: Field, array: NDArray[Any]) -> Column:
    """Return an array [n, ...] as the field's column; a view where its type allows.

    Raises:
        Refusal: 400 for a wrong shape or element type, 422 that lists the rows with a value that is
            not finite or outside of the field's limits.
    """
    array = _shaped(field, array)
    wanted = dtype_of(field)
    if array.dtype != wanted:
        array = _cast(field, array, wanted)
    return checked(field, array)


def checked(field: Field, array: NDArray[Any]) -> Column:
    """Return an array of the field's shape and element type as its column.

    Raises:
        Refusal: 422 that lists the rows with a value that is not finite or outside of the field's
            limits.
    """
    details = list(_misfits(field, array)) if _may_misfit(field, array) else []
    if details:
        raise bad_records(details, len(array))
    if not field.ragged:
        return array
    length = array.shape[1]
    offsets = np.arange(0, (len(array) + 1) * length, max(length, 1), dtype=np.int64)
    if not length:
        offsets = np.zeros(len(array) + 1, np.int64)
    return Ragged(array.reshape(-1, *field.inner), offsets)


def shape_text(field: Field) -> str:
    """Return the shape that a field's tensor has in a request, as a person reads it."""
    if field.shape is None:
        return "[n] or [n, 1]"
    sizes = ["length" if size is None else str(size) for size in field.shape]
    return f"[{', '.join(['n', *sizes])}]"


def wrong_tensor(message: str, name: str | None = None) -> Refusal:
    """Return the refusal of a request whose tensors are not what the model reads."""
    place = f"input {name!r}: " if name else ""
    return Refusal(400, "bad_tensors", f"{place}{message}")


def _shaped(field: Field, array: NDArray[Any]) -> NDArray[Any]:
    if field.shape is None:
        if array.ndim == 1:
            return array
        if array.ndim == 2 and array.shape[1] == 1:
            return array[:, 0]
    else:
        expected = tuple(field.shape)
        if array.ndim == len(expected) + 1 and all(
            size in (None, found) for size, found in zip(expected, array.shape[1:], strict=True)
        ):
            return array
    raise wrong_tensor(f"expected shape {shape_text(field)}, found {list(array.shape)}", field.name)


def _cast(field: Field, array: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[Any]:
    """Change the element type where no value can change its meaning; floats may lose digits."""
    given, kinds = array.dtype, (array.dtype.kind, wanted.kind)
    if kinds in (("i", "i"), ("u", "i"), ("i", "u"), ("u", "u")):
        _check_range(field, array, wanted)
    elif not (np.can_cast(given, wanted) or kinds in (("f", "f"), ("i", "f"), ("u", "f"))):
        raise wrong_tensor(
            f"expected datatype {DATATYPE[wanted]}, found {DATATYPE[given]}", field.name
        )
    with np.errstate(over="ignore"):  # what overflows is infinite, and found as such
        return array.astype(wanted)


def _check_range(field: Field, array: NDArray[Any], wanted: np.dtype[Any]) -> None:
    bounds = np.iinfo(wanted)
    # Compared as Python integers: numpy would round a 64-bit number of the other sign.
    if array.size and not (bounds.min <= int(array.min()) and int(array.max()) <= bounds.max):
        low, high = f"{bounds.min}", f"{bounds.max}"
        raise wrong_tensor(f"expected {DATATYPE[wanted]}, {low} to {high}", field.name)


def _may_misfit(field: Field, array: NDArray[Any]) -> bool:
    if field.ragged and field.max_length is not None and array.shape[1] > field.max_length:
        return True
    if not all_finite(array):
        return True
    if array.size and field.min is not None and bool(array.min() < field.min):
        return True
    return bool(array.size and field.max is not None and array.max() > field.max)


def _misfits(field: Field, array: NDArray[Any]) -> Iterator[RecordError]:
    """Yield one problem for each row that has some."""
    for index, row in enumerate(array):
        expected = _expectation(field, row)
        if expected is not None:
            yield RecordError(index, field.name, expected[0], expected[1])


def _expectation(field: Field, row: NDArray[Any]) -> tuple[str, str] | None:
    values = np.asarray(row)
    if field.ragged and field.max_length is not None and len(values) > field.max_length:
        return f"at most {field.max_length} elements", str(len(values))
    if not all_finite(values):
        odd = values[~np.isfinite(values)] if values.ndim else values
        return "finite numbers", str(odd.reshape(-1)[0])
    if values.size and field.min is not None and values.min() < field.min:
        return f"at least {field.min:g}", f"{cast(float, values.min()):g}"
    if values.size and field.max is not None and values.max() > field.max:
        return f"at most {field.max:g}", f"{cast(float, values.max()):g}"
    return None
