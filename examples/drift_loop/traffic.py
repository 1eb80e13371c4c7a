"""What users do: send rows to the running server in order, and tell later what was true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from streams import TRUTH, Stream

from gristmill.core.errors import ServeError
from gristmill.data import ROW_ID
from gristmill.serve import Client
from gristmill.serve.watch.kept_predictions import PREDICTIONS, kept_predictions

LIVE, FIRST = "live", "first"
"""What the serving file names the model that the loop renews, and the one that stays."""

_BATCH = 100
_KEY = "id"
"""The field of a request with the user's own id of a row: its place in the stream."""


class Traffic:
    """All rows of a stream, in order, to a server that keeps what it answers.

    A replay that was stopped goes on at the row where it was: the server's files say which.

    Args:
        stream: the rows.
        served: the folder in which the server keeps what it serves, by model.
        late: the truth of a row is told once so many more rows were served.
    """

    def __init__(self, stream: Stream, served: Path, late: int) -> None:
        rows = pl.concat([period.rows for period in stream.periods])
        self._truth = rows[TRUTH].to_list()
        inputs = rows.drop(ROW_ID, TRUTH)
        self._inputs = inputs.with_columns(pl.int_range(pl.len()).cast(pl.String).alias(_KEY))
        self._late = late
        self._said: dict[str, list[float]] = {LIVE: [], FIRST: []}
        self._told = 0
        for model, said in self._said.items():
            folder = served / model
            for each in kept_predictions(folder) if (folder / PREDICTIONS).is_dir() else ():
                said.append(each.answer["probs"]["yes"])
                self._told += each.truth is not None

    def send(self, client: Client, model: str, end: int) -> None:
        """Send the rows before a place that a model was not asked yet."""
        said = self._said[model]
        while len(said) < end:
            batch = self._inputs[len(said) : min(len(said) + _BATCH, end)]
            said += [each.probs["yes"] for each in client.predict(batch.to_dicts(), model)]

    def tell(self, client: Client) -> None:
        """Tell the truth of rows that were served long enough ago and have none yet.

        Raises:
            ServeError: the server knows nothing of one of them.
        """
        end = len(self._said[LIVE]) - self._late
        while self._told < end:
            places = range(self._told, min(self._told + _BATCH, end))
            told = [{"prediction_id": str(at), "label": self._truth[at]} for at in places]
            body = json.dumps({"feedback": told}).encode()
            answer = json.loads(client.request("POST", f"/v1/models/{LIVE}/feedback", body))
            if set(answer["counts"]) - {"joined", "repeated"}:
                raise ServeError(f"a truth was not taken: {answer['counts']}")
            self._told = places.stop

    def said(self, model: str, start: int, end: int) -> NDArray[np.float64]:
        """Return a model's answers to rows that were sent: the probability of "yes"."""
        return np.array(self._said[model][start:end])

    def truth(self, start: int, end: int) -> NDArray[np.int64]:
        """Return what was true: int64[n], 1 for "yes"."""
        return np.array([truth == "yes" for truth in self._truth[start:end]], np.int64)
