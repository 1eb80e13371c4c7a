"""An endpoint whose predictions are kept under names, so that what is true can be told later."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gristmill.serve.online.endpoint import Prompt
from gristmill.serve.routing.composite import Composite
from gristmill.serve.runners.finite import are_finite
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.watch.metrics import Sample
from gristmill.store.bundle import Field

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Told
    from gristmill.serve.streams.streaming import Streaming
    from gristmill.serve.watch.prediction_log import PredictionLog
    from gristmill.serve.watch.truth_log import Telling, TellStatus, TruthLog

_LONGEST_KEY = 256


class Kept(Composite):
    """An endpoint that keeps a sample of what passes; it answers as what it stands before does.

    Args:
        endpoint: what answers; closed with it, and so are the logs.
        predictions: where predictions are kept. Where its key is no input of the endpoint, requests
            may have it all the same; the endpoint does not see it.
        truths: where is told what was true of them.
        draws: uniform in [0, 1); by default of a generator with a seed from the system.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        predictions: PredictionLog,
        truths: TruthLog,
        *,
        draws: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(endpoint.name, [endpoint])
        self.predictions, self.truths = predictions, truths
        self._prompt = endpoint.ask if isinstance(endpoint, Prompt) else None
        self._draws = draws or random.Random().random  # noqa: S311 - a sample, no secret
        self._rate, self._key = predictions.keeping.rate, predictions.keeping.key
        known = any(field.name == self._key for field in endpoint.inputs)
        self._own_key = bool(self._key) and not known

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Fields of a request: those of the endpoint, and the key where it is none of them."""
        mine = Field(self._key, "string", required=False, max_length=_LONGEST_KEY)
        return (*super().inputs, mine) if self._own_key else super().inputs

    @property
    def streaming(self) -> Streaming | None:
        """Who answers streams of pictures with the model; those are not kept."""
        found: Streaming | None = getattr(self.members[0], "streaming", None)
        return found

    def about(self) -> dict[str, object]:
        """Return what the server tells of the endpoint."""
        tell = getattr(self.members[0], "about", None)
        return {} if tell is None else tell()

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer, and keep it if it is in the sample: `prediction` then names the answer.

        Raises:
            Exception: whatever the endpoint raised.
        """
        asked = self._without_key(rows) if self._own_key else rows
        answered = await self.members[0].answer(asked, call)
        if self._draws() >= self._rate or not _is_sent(answered.rows):
            return answered
        name = self._name(answered)
        self._note(name, rows, asked, call, answered)
        return msgspec.structs.replace(answered, prediction=name) if name else answered

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer`, without a coroutine; see `endpoint.Prompt`. None where it cannot.

        Raises:
            Refusal: as `answer`.
        """
        if self._prompt is None:
            return None
        asked = self._without_key(rows) if self._own_key else rows
        if self._draws() < self._rate:
            told = partial(self._hear, rows, asked, call, told)
        return self._prompt(asked, call, told)

    def tell(self, tellings: Sequence[Telling]) -> list[TellStatus]:
        """Keep what turned out to be true of predictions; see `TruthLog.tell`; from any thread.

        Raises:
            StoreError: it could not be written.
        """
        self.predictions.flush()
        return self.truths.tell(tellings)

    async def close(self) -> None:
        """Close the endpoint, and write what was predicted last."""
        await super().close()
        await asyncio.to_thread(self.predictions.close)
        self.truths.close()

    def samples(self) -> Iterator[Sample]:
        """Yield how much was kept and told, and the endpoint's own figures."""
        yield from self.predictions.samples(self.name)
        what = "Truths that were told, by what became of them."
        for status, count in sorted(self.truths.counts.items()):
            labels = {"model": self.name, "status": status}
            yield Sample("gristmill_told_truths_total", "counter", what, labels, count)
        yield from super().samples()

    def _hear(
        self, rows: Rows, asked: Rows, call: Call, told: Told, outcome: Answered | Exception
    ) -> None:
        if isinstance(outcome, Exception) or not _is_sent(outcome.rows):
            told(outcome)
            return
        name = self._name(outcome)
        told(msgspec.structs.replace(outcome, prediction=name) if name else outcome)
        self._note(name, rows, asked, call, outcome)

    def _name(self, answered: Answered) -> str:
        return answered.prediction or self.predictions.name(answered.model)

    def _note(self, name: str, rows: Rows, asked: Rows, call: Call, answered: Answered) -> None:
        keys = self._keys(rows, call)
        self.predictions.note(name, answered.model, asked, answered.rows, keys)

    def _keys(self, rows: Rows, call: Call) -> list[str]:
        request = call.key or call.request_id
        keys = [request] if rows.count == 1 else [f"{request}-{row}" for row in range(rows.count)]
        cells = rows.columns.get(self._key) if self._key else None
        if isinstance(cells, Ragged) or cells is None:
            return keys
        given = cells.tolist() if isinstance(cells, np.ndarray) else cells
        return [key if cell is None else str(cell) for key, cell in zip(keys, given, strict=True)]

    def _without_key(self, rows: Rows) -> Rows:
        columns = {name: column for name, column in rows.columns.items() if name != self._key}
        return Rows(columns, rows.count)


def _is_sent(rows: Rows) -> bool:
    """Say whether an answer leaves the server: what is no number is refused at the door."""
    return rows.finite or are_finite(rows)
