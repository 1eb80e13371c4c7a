"""A bundle, loaded and ready to answer: rows in, labels and probabilities out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from gristmill.core.errors import ServeError
from gristmill.serve.records import RecordError, check_records
from gristmill.serve.runners.answering import softmax
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.threads import THREADS
from gristmill.store.bundle import Bundle, FieldKind, Signature

ANSWER = pl.Schema({"label": pl.String(), "prob": pl.Float64(), "probs": pl.List(pl.Float64)})
"""Columns of an answer."""

_DTYPES: dict[FieldKind, type[pl.DataType]] = {
    "string": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
}
_MOST_ROWS = 1024


class Runner:
    """Answers with one model; may be called from several threads at once.

    The answer for a row is the same, to 1e-6 in every probability, alone or in any batch: rows
    only meet in a batch through padding, which the model was made to ignore.

    Args:
        bundle: an open bundle, or its folder.
        threads: how many threads one operator may use. PyTorch has one number for the process; it
            is put back when no call is under way. None leaves it alone.

    Raises:
        BundleError: the bundle is damaged.
    """

    def __init__(self, bundle: Bundle | Path | str, threads: int | None = 1) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.threads = threads
        self._featurizer = self.bundle.featurizer()
        self._graph = Graph(self.bundle.graph(), self.bundle.weights())

    @property
    def signature(self) -> Signature:
        """Fields of a request and of an answer."""
        return self.bundle.signature

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of `probs`."""
        return self.bundle.classes

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Answer every row of a frame, in its order.

        Returns:
            Columns `label` (a class name), `prob` (float64, of that class) and `probs` (float64 of
            each class, summing to 1). Equal probabilities go to the class named first.

        Raises:
            DataError: a column that the model reads is missing or of another type.
            ServeError: the model can't be computed.
        """
        slices = frame.iter_slices(_MOST_ROWS)
        parts = [self._answer(part) for part in slices if part.height]
        return pl.concat(parts) if parts else ANSWER.to_frame()

    def logits(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return float64[n, classes] for an array such as the featurizer makes: [n, ...].

        Raises:
            ServeError: the array doesn't fit the model, or the model can't be computed.
        """
        with THREADS.use(self.threads):
            (logits,) = self._graph(torch.tensor(inputs))
        expected = (len(inputs), len(self.classes))
        if logits.shape != expected:
            raise ServeError(
                f"expected logits of shape {list(expected)}, found {list(logits.shape)}",
                where=f"model {self.bundle.name!r}",
            )
        return logits.double().numpy()

    def check_records(
        self, records: Sequence[object]
    ) -> tuple[list[dict[str, object]], list[RecordError]]:
        """Return the records that keep the signature, in order, and what is wrong with the others.

        The position of a good record in `records` is found by leaving out every `index` that an
        error names.
        """
        return check_records(self.signature.inputs, records)

    def frame(self, records: Sequence[Mapping[str, object]]) -> pl.DataFrame:
        """Return good records as the frame that `predict` takes, typed by the signature."""
        schema = {field.name: _DTYPES[field.kind] for field in self.signature.inputs}
        return pl.DataFrame(records, schema=schema)

    def _answer(self, frame: pl.DataFrame) -> pl.DataFrame:
        probs = softmax(self.logits(self._featurizer.apply(frame)))
        best = probs.argmax(axis=1)
        return pl.DataFrame(
            {
                "label": [self.classes[index] for index in best],
                "prob": probs[np.arange(len(probs)), best],
                "probs": probs.tolist(),
            },
            schema=ANSWER,
        )
