"""A bundle, loaded: what reads its rows, what runs its graph, what writes its answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.serve.runners.answering import Writer
from gristmill.serve.runners.body import Body, Values
from gristmill.serve.runners.reading import Reader
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.runners.threads import THREADS
from gristmill.serve.runners.work import work_of
from gristmill.store.bundle import Bundle
from gristmill.store.signature import Field


class LoadedRunner:
    """Answers with one bundle's model; may be called from several threads at once.

    Attributes:
        bundle: the bundle.
        body: what runs its graph.
        note: why the body is no better one, where one was tried; else empty.
    """

    def __init__(
        self,
        bundle: Bundle,
        read: Reader,
        body: Body,
        write: Writer,
        *,
        threads: int | None = 1,
        note: str = "",
    ) -> None:
        self.bundle = bundle
        self.body = body
        self.note = note
        self.threads = threads
        self.name = bundle.name
        self.fingerprint = bundle.fingerprint
        self.inputs: tuple[Field, ...] = tuple(bundle.signature.inputs)
        self.outputs: tuple[Field, ...] = write.outputs
        self.classes: tuple[str, ...] = tuple(bundle.classes)
        self._read = read
        self._write = write

    def work(self, rows: Rows) -> NDArray[np.float64]:
        """Return float64[n], the work of each row (`work.work_of`)."""
        return work_of(rows, self.inputs)

    def __call__(self, rows: Rows) -> Rows:
        """Answer each row, in order.

        Raises:
            DataError: rows that the model can't read.
            ServeError: the model can't be computed.
        """
        inputs, count = self._read(rows), rows.count
        with THREADS.use(self.threads):
            if count:
                return self._write(self.body(inputs, count), count)
            one = self.body([_one_like(each) for each in inputs], 1)
            return self._write([each[:0] for each in one], 0)


def _one_like(values: Values) -> Values:
    """Return one row where there is none: what it is answered tells the shapes of answers."""
    if isinstance(values, Ragged):
        return Ragged(np.ones((1, *values.values.shape[1:]), values.values.dtype), np.arange(2))
    return np.ones((1, *values.shape[1:]), values.dtype)
