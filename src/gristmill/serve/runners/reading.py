"""From rows to the tensors that a graph is given, by the bundle's featurizer or its fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import BundleError, DataError
from gristmill.data.features import Columns, Featurizer
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.store.bundle import Bundle
from gristmill.store.graph import Input
from gristmill.store.signature import Field

_WHITE = np.float32(255.0)


class Reader(Protocol):
    """Makes a graph's inputs of rows: an array [n, ...] each, or rows of different lengths."""

    def __call__(self, rows: Rows) -> list[NDArray[Any] | Ragged]:
        """Read rows.

        Raises:
            DataError: a column is missing or holds what the model can't read.
        """


def reader_of(bundle: Bundle, inputs: Sequence[Input]) -> Reader:
    """Return what reads the rows that a bundle's signature describes.

    Raises:
        BundleError: the signature's fields are not what the graph is given.
    """
    if bundle.has_featurizer:
        featurizer = bundle.featurizer()
        return NumberReader(featurizer) if isinstance(featurizer, Columns) else IdReader(featurizer)
    fields = bundle.signature.inputs
    if len(fields) != len(inputs):
        raise BundleError(f"expected {len(inputs)} fields for the graph, found {len(fields)}")
    return TensorReader([_tensor(*pair) for pair in zip(fields, inputs, strict=True)])


class NumberReader:
    """Reads columns of numbers, side by side: float32[n, columns]."""

    def __init__(self, featurizer: Columns) -> None:
        self.names = featurizer.names

    def __call__(self, rows: Rows) -> list[NDArray[Any] | Ragged]:
        """Read rows; every value must be finite as a float32."""
        matrix = np.empty((rows.count, len(self.names)), np.float32)
        with np.errstate(over="ignore"):
            for at, name in enumerate(self.names):
                numbers = np.asarray(_column(rows, name))
                if numbers.dtype.kind not in "biuf":
                    raise DataError(
                        f"expected numbers, found {numbers.dtype.name}", where=f"column {name!r}"
                    )
                matrix[:, at] = numbers
        if not np.isfinite(matrix).all():
            row, at = np.argwhere(~np.isfinite(matrix))[0]
            raise DataError(
                f"expected finite numbers, found {_column(rows, self.names[at])[int(row)]}",
                where=f"column {self.names[at]!r}, row {row}",
            )
        return [matrix]


class IdReader:
    """Reads a column of texts: the ids of each, rows of different lengths; at least one id each."""

    def __init__(self, featurizer: Featurizer) -> None:
        self.featurizer = cast("Any", featurizer)

    def __call__(self, rows: Rows) -> list[NDArray[Any] | Ragged]:
        """Read rows; None reads as the empty text."""
        texts = cast("list[str | None]", _column(rows, self.featurizer.column))
        return [Ragged(*self.featurizer.encode_rows([text or "" for text in texts]))]


class TensorReader:
    """Reads one column for each of the graph's inputs."""

    def __init__(self, parts: Sequence[TensorPart]) -> None:
        self.parts = parts

    def __call__(self, rows: Rows) -> list[NDArray[Any] | Ragged]:
        """Read rows."""
        return [part(_column(rows, part.field.name)) for part in self.parts]


class TensorPart:
    """Reads one column as one of a graph's inputs.

    Args:
        field: what the column holds.
        dtype: what the graph takes.
    """

    def __init__(self, field: Field, dtype: np.dtype[Any]) -> None:
        self.field = field
        self.dtype = dtype
        self._inner = field.inner
        self._is_plain = field.kind != "image" and not field.ragged

    def __call__(self, column: Column) -> NDArray[Any] | Ragged:
        """Read a column; its numbers are cast only where none can change much.

        Raises:
            DataError: it holds something else than the field says.
        """
        if (
            self._is_plain
            and isinstance(column, np.ndarray)
            and column.dtype == self.dtype
            and column.shape[1:] == self._inner
        ):
            return column  # what a server mostly reads, past five calls
        if self.field.kind == "image":
            pixels = self._array(column, np.dtype(np.uint8))
            return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / _WHITE
        if not self.field.ragged:
            return self._array(column, self.dtype)
        if not isinstance(column, Ragged):
            arrays = [self._cast(np.asarray(row), self.dtype) for row in column]
            column = Ragged.of(arrays, like=np.empty((0, *self.field.inner), self.dtype))
        self._check(column.values.shape[1:])
        return Ragged(self._cast(column.values, self.dtype), column.offsets)

    def _array(self, column: Column, dtype: np.dtype[Any]) -> NDArray[Any]:
        if isinstance(column, Ragged):
            raise DataError("expected rows of one shape", where=f"column {self.field.name!r}")
        array = self._cast(np.asarray(column), dtype)
        self._check(array.shape[1:])
        return array

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != self._inner:
            raise DataError(
                f"expected rows of shape {list(self.field.inner)}, found {list(shape)}",
                where=f"column {self.field.name!r}",
            )

    def _cast(self, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        if array.dtype == dtype:
            return array
        if not np.can_cast(array.dtype, dtype, "same_kind") and not (
            array.dtype.kind in "iu" and dtype.kind == "f"
        ):
            raise DataError(
                f"expected {dtype.name}, found {array.dtype.name}",
                where=f"column {self.field.name!r}",
            )
        return array.astype(dtype)


def _tensor(field: Field, given: Input) -> TensorPart:
    ragged = len(given.shape) > 1 and given.shape[1] is None
    inner = [size for size in given.shape[1:] if size is not None]
    expected = [field.inner[2], *field.inner[:2]] if field.kind == "image" else list(field.inner)
    if field.kind == "string" or expected != inner or ragged != field.ragged:
        raise BundleError(
            f"expected a field for {given.dtype}{given.shape}, found {field.kind} {field.shape}",
            where=f"field {field.name!r}",
        )
    return TensorPart(field, np.dtype(given.dtype))


def _column(rows: Rows, name: str) -> Column:
    found = rows.columns.get(name)
    if found is None:
        raise DataError(
            f"expected a column {name!r}, found {', '.join(rows.columns) or 'no columns'}"
        )
    return found
