"""From what a graph gives to rows of answers: labels and probabilities, or tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import ServeError
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.store.bundle import Bundle
from gristmill.store.signature import Field


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
        return class_rows(self.classes, softmax(logits.astype(np.float64)))


class TensorWriter:
    """Answers one column for each of the graph's outputs."""

    def __init__(self, outputs: Sequence[Field]) -> None:
        self.outputs = tuple(outputs)

    def __call__(self, found: Sequence[NDArray[Any] | Ragged], count: int) -> Rows:
        """Return `count` answers."""
        columns: dict[str, Column] = {}
        for field, value in zip(self.outputs, found, strict=True):
            ragged = isinstance(value, Ragged)
            inner = value.values.shape[1:] if isinstance(value, Ragged) else value.shape[1:]
            if ragged != field.ragged or inner != field.inner or len(value) != count:
                raise ServeError(
                    f"expected {count} rows of {field.shape}, "
                    f"found {len(value)} of {['any'] * ragged + list(inner)}",
                    where=f"output {field.name!r}",
                )
            columns[field.name] = value
        return Rows(columns, count)


def class_rows(classes: Sequence[str], probs: NDArray[np.float64]) -> Rows:
    """Return the answers `label`, `prob` and `probs` for probabilities float64[n, classes]."""
    best = probs.argmax(axis=1)
    labels = [classes[at] for at in best.tolist()]
    prob = probs[np.arange(len(probs)), best]
    return Rows({"label": labels, "prob": prob, "probs": probs}, len(probs))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities, row by row, without overflow: float64[n, classes]."""
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers
