"""From what a graph gives to rows of answers: labels and probabilities, or tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from gristmill.core.errors import ServeError
from gristmill.serve.runners.dense import tensor_of
from gristmill.serve.runners.labels import ClassRows
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.store.bundle import Bundle
from gristmill.store.signature import Field

_MANY_ROWS, _SHORT_ROW = 256, 64


class Writer(Protocol):
    """Makes answers of what a graph gives: an array [n, ...], or rows of different lengths."""

    outputs: tuple[Field, ...]

    def __call__(self, found: Sequence[NDArray[Any] | Ragged], count: int) -> Rows:
        """Return `count` answers.

        Raises:
            ServeError: the model gave something else than the bundle says.
        """


def writer_of(bundle: Bundle) -> Writer:
    """Return what writes the answers that a bundle's signature describes."""
    if bundle.classes:
        return ClassWriter(bundle.classes, bundle.signature.outputs)
    return TensorWriter(bundle.signature.outputs)


class ClassWriter:
    """Answers `label`, `prob` and `probs` for logits [n, classes].

    Equal probabilities go to the class named first.
    """

    def __init__(self, classes: Sequence[str], outputs: Sequence[Field]) -> None:
        self.classes = list(classes)
        named = [field for field in outputs if field.name != "probs"]
        probs = Field("probs", "tensor", min=0.0, max=1.0, dtype="float64", shape=[len(classes)])
        self.outputs = (*named, probs)

    def __call__(self, found: Sequence[NDArray[Any] | Ragged], count: int) -> Rows:
        """Return `count` answers."""
        logits = found[0]
        expected = (count, len(self.classes))
        if isinstance(logits, Ragged) or logits.shape != expected:
            shape = "rows of different lengths" if isinstance(logits, Ragged) else logits.shape
            raise ServeError(f"expected logits of shape {expected}, found {shape}")
        return ClassRows(self.classes, softmax(logits))


class TensorWriter:
    """Answers one column for each of the graph's outputs."""

    def __init__(self, outputs: Sequence[Field]) -> None:
        self.outputs = tuple(outputs)
        self._expected = [(field, field.name, field.ragged, field.inner) for field in outputs]

    def __call__(self, found: Sequence[NDArray[Any] | Ragged], count: int) -> Rows:
        """Return `count` answers."""
        columns: dict[str, Column] = {}
        for (field, name, free, fixed), value in zip(self._expected, found, strict=True):
            ragged = isinstance(value, Ragged)
            inner = value.values.shape[1:] if isinstance(value, Ragged) else value.shape[1:]
            if ragged != free or inner != fixed or len(value) != count:
                raise ServeError(
                    f"expected {count} rows of {field.shape}, "
                    f"found {len(value)} of {['any'] * ragged + list(inner)}",
                    where=f"output {name!r}",
                )
            columns[name] = value
        return Rows(columns, count)


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities, row by row, without overflow: float64[n, classes]."""
    # Rows are short: numpy would spend most of the time on the way to each of them.
    values = tensor_of(logits)
    if len(values) < _MANY_ROWS or values.shape[1] > _SHORT_ROW:
        found = torch.softmax(values, 1, dtype=torch.float64)
    else:
        # The operator goes row by row, too; this takes a third of its time at ten classes.
        found = values.to(torch.float64, copy=True)
        found -= found.amax(1, keepdim=True)
        found.exp_()
        found /= found.sum(1, keepdim=True)
    return cast("NDArray[np.float64]", found.numpy())
