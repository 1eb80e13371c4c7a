"""What users do: send rows to the running server in order, and tell later what was true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from streams import LABEL, Stream

from gristmill.core.errors import ServeError
from gristmill.data import ROW_ID
from gristmill.serve import Client
from gristmill.serve.watch.kept_predictions import PREDICTIONS, kept_predictions

LIVE, FIRST = "live", "first"
"""What the serving file names the model that the loop renews, and the one that stays."""

_BATCH, _TOLD_AT_ONCE = 100, 1000
_KEY = "id"
"""The field of a request with the user's own id of a row: its number in the table."""


class Traffic:
    """All rows of a stream, in order, to a server that keeps what its live model answers.

    A replay that was stopped goes on at the row where it was: the server's files say which.

    Args:
        stream: the rows.
        served: the folder in which the server keeps what the live model answers.
        late: the truth of a row is told once so many more rows were served.
    """

    def __init__(self, stream: Stream, served: Path, late: int) -> None:
        rows = pl.concat([period.rows for period in stream.periods])
        self._truth = rows[LABEL].to_list()
        # Rows are numbered on behind those of the history, as those of one table.
        self._ids = range(stream.history.height, stream.history.height + rows.height)
        ids = pl.Series(_KEY, self._ids).cast(pl.String)
        self._inputs = rows.drop(ROW_ID, LABEL).with_columns(ids)
        self._late = late
        kept = list(kept_predictions(served)) if (served / PREDICTIONS).is_dir() else []
        self._said = [cast("dict[str, float]", each.answer["probs"])["yes"] for each in kept]
        self._told = sum(each.truth is not None for each in kept)

    def live(self, client: Client, start: int, end: int) -> NDArray[np.float64]:
        """Return what the live model says of rows: the probability of "yes", float64[n].

        It is asked those that it was not asked before.
        """
        for batch in self._batches(len(self._said), end):
            self._said += [each.probs["yes"] for each in client.predict(batch, LIVE)]
        return np.array(self._said[start:end])

    def first(self, client: Client, start: int, end: int) -> NDArray[np.float64]:
        """Return what the first version says of rows: the probability of "yes", float64[n]."""
        asked = (client.predict(batch, FIRST) for batch in self._batches(start, end))
        return np.array([each.probs["yes"] for answers in asked for each in answers])

    def _batches(self, start: int, end: int) -> Iterator[list[dict[str, object]]]:
        for at in range(start, end, _BATCH):
            yield self._inputs[at : min(at + _BATCH, end)].to_dicts()

    def tell(self, client: Client) -> None:
        """Tell the truth of rows that were served long enough ago and have none yet.

        Raises:
            ServeError: the server knows nothing of one of them.
        """
        end = len(self._said) - self._late
        while self._told < end:
            due = slice(self._told, min(self._told + _TOLD_AT_ONCE, end))
            told = zip(map(str, self._ids[due]), self._truth[due], strict=True)
            counts = client.tell(LIVE, dict(told))
            if set(counts) - {"joined", "repeated"}:
                raise ServeError(f"not all truths were taken: {counts}")
            self._told = due.stop

    def truth(self, start: int, end: int) -> NDArray[np.int64]:
        """Return what was true: int64[n], 1 for "yes"."""
        return np.array([truth == "yes" for truth in self._truth[start:end]], np.int64)
