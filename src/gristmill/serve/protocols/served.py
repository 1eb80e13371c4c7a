"""One endpoint behind a server: what is known of it once, so that no request has to find it out."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from gristmill.serve.online.endpoint import Answered, Prompt
from gristmill.serve.online.in_task import in_task
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.instances import bad_records
from gristmill.serve.protocols.plain import instances_of
from gristmill.serve.protocols.raw import RawTensor
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.checking import BadRecords, Checker, Mode
from gristmill.serve.runners.finite import all_finite, is_finite
from gristmill.serve.runners.records import RecordError
from gristmill.serve.runners.rows import Column, Ragged, Rows
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Call, Endpoint, Told
    from gristmill.serve.streams.streaming import Streaming
    from gristmill.store.bundle import Field

_ANSWERABLE = "values for which the model gives finite numbers"
_DTYPES = {"int": np.int64, "float": np.float64, "bool": np.bool_, "image": np.uint8}


class Served:
    """An endpoint under the name that requests call it.

    Args:
        endpoint: what answers.
        limits: when to refuse.
        name: by default the endpoint's own.
        mode: what to do about a value outside the limits of its field (length, domain, range):
            refuse the request, answer it and count a warning, or not look. A value of another type
            is always refused, as it can't be answered.

    Attributes:
        inputs, outputs: fields of a request and of an answer.
        classes: class names, in the order of `probs`; empty where it is no classifier.
        asked: the inputs, with the limits that are kept.
        scalars: those of them that are no tensors.
        raw: reads bodies that are the bytes of the one tensor among them.
        warnings: records that were answered though a value is outside the limits.
        decides: whether the server is ready only where this is: not where a route that it stands
            behind decides.
    """

    def __init__(
        self, endpoint: Endpoint, limits: Limits, name: str | None = None, mode: Mode = "reject"
    ) -> None:
        self.endpoint, self.limits = endpoint, limits
        self.name = name or endpoint.name
        self.inputs, self.outputs = tuple(endpoint.inputs), tuple(endpoint.outputs)
        self.classes = tuple(endpoint.classes)
        self.warnings = 0
        self._checker = Checker(self.inputs, mode, self._warned)
        self.asked = self.inputs if mode == "reject" else tuple(map(_without_limits, self.inputs))
        self.raw = RawTensor(self.asked)
        self._decode = _plain_decoder(self._checker.record)
        self.scalars = tuple(field for field in self.inputs if field.shape is None)
        self._scalar_checker = Checker(self.scalars, mode, self._warned)
        self.decides = True
        self._open = True
        self._free = tuple(field.name for field in self.inputs if field.ragged)
        self._prompt = endpoint.ask if isinstance(endpoint, Prompt) else None
        self._tasks: set[asyncio.Task[Answered]] = set()

    @property
    def ready(self) -> bool:
        """Whether requests should come: it is not stopping, and some replica of the model lives."""
        return self._open and bool(getattr(self.endpoint, "ready", True))

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._open = ready

    @property
    def problems(self) -> tuple[str, ...]:
        """Why replicas of the model cannot be started, one line each."""
        found: tuple[str, ...] = getattr(self.endpoint, "problems", ())
        return found

    @property
    def about(self) -> dict[str, object]:
        """What a route does with its members, or which version of a registry answers."""
        tell = getattr(self.endpoint, "about", None)
        return {} if tell is None else tell()

    @property
    def streaming(self) -> Streaming | None:
        """Who answers streams of pictures with the model of now; None where nobody does."""
        found: Streaming | None = getattr(self.endpoint, "streaming", None)
        return found

    @property
    def keeps(self) -> bool:
        """Whether predictions are kept, so that their truth can be told."""
        return hasattr(self.endpoint, "truths")

    @property
    def version(self) -> str:
        """Fingerprint of the model that answers now; it changes when the model is swapped."""
        return str(getattr(self.endpoint, "fingerprint", ""))

    def check_count(self, count: int) -> None:
        """Refuse a request of too many rows.

        Raises:
            Refusal: 413.
        """
        if count > self.limits.max_instances:
            raise Refusal(
                413,
                "too_many_instances",
                f"expected at most {self.limits.max_instances} instances, found {count}",
                fix="send them in several requests, or use `gristmill predict` on a file",
            )

    def rows_of_json(self, body: bytes) -> Rows:
        """Return the rows of a body in the plain JSON form.

        The body is decoded straight into typed records; only one that does not fit is looked at
        again, piece by piece, to say why.

        Raises:
            Refusal: 400 malformed, 413 too many, 422 that lists every problem of every record.
        """
        try:
            records = self._decode(body).instances
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.rows_of(instances_of(body))
        if len(records) > self.limits.max_instances:
            self.check_count(len(records))
        try:
            return self._checker.rows_of(records)
        except BadRecords as bad:
            raise bad_records(bad.errors, len(records)) from None

    def rows_of(self, instances: Sequence[object]) -> Rows:
        """Return instances of the plain form as rows.

        Raises:
            Refusal: 413 too many, 422 that lists every problem of every record.
        """
        if len(instances) > self.limits.max_instances:
            self.check_count(len(instances))
        try:
            return self._checker.rows(instances)
        except BadRecords as bad:
            raise bad_records(bad.errors, len(instances)) from None

    def scalar_rows(self, instances: Sequence[object]) -> Rows:
        """Return instances of the inputs that are no tensors as rows.

        Raises:
            Refusal: as `rows_of`.
        """
        try:
            return self._scalar_checker.rows(instances)
        except BadRecords as bad:
            raise bad_records(bad.errors, len(instances)) from None

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer checked rows.

        Raises:
            Refusal: 413 too many, 422 some have no finite answer or tensors of different lengths,
                503 not in time.
        """
        if rows.count > self.limits.max_instances:
            self.check_count(rows.count)
        if not rows.count:
            return self._nothing()
        if self._free:
            _check_lengths(rows, self._free)
        answered = await self.endpoint.answer(rows, call)
        self.check_finite(answered.rows)
        if call.trace is not None:
            cached, degraded = answered.cached, answered.degraded
            call.trace.answered(self.name, answered.model, rows.count, cached, degraded)
        return answered

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], object]:
        """Ask checked rows without a coroutine where the endpoint can, else in a task.

        `told` hears once what comes of it, at the earliest in this call; what it hears still has
        to pass `check_finite`.

        Returns:
            what to call when nobody waits any more.

        Raises:
            Refusal: as `answer`; `told` hears nothing then.
        """
        if rows.count > self.limits.max_instances:
            self.check_count(rows.count)
        if not rows.count:
            told(self._nothing())
            return _nobody_waits
        if self._free:
            _check_lengths(rows, self._free)
        if self._prompt is not None:
            gone = self._prompt(rows, call, told)
            if gone is not None:
                return gone
        return in_task(self.endpoint.answer(rows, call), told, self._tasks)

    def check_finite(self, rows: Rows) -> None:
        """Refuse an answer that is no number: it is never sent.

        Raises:
            Refusal: 422.
        """
        if rows.finite:
            return
        prob = rows.columns.get("prob") if self.classes else None
        if prob is not None and rows.count == 1 and math.isfinite(prob[0]):  # type: ignore[arg-type]
            return
        for column in rows.columns.values():
            if not is_finite(column):
                details = [
                    RecordError(index, "", _ANSWERABLE, "no finite answer")
                    for index in _not_finite(column, rows.count)
                ]
                raise bad_records(details, rows.count)

    def samples(self) -> Iterator[Sample]:
        """Yield the figures of the check at the door, and the endpoint's own."""
        what = "Records answered though a value is outside its field's limits."
        labels = {"model": self.name}
        yield Sample("gristmill_schema_warnings_total", "counter", what, labels, self.warnings)
        source = getattr(self.endpoint, "samples", None)
        if source is not None:
            yield from source()

    def _warned(self, errors: Sequence[RecordError]) -> None:
        self.warnings += len({error.index for error in errors})

    def _nothing(self) -> Answered:
        columns = {field.name: self._empty(field) for field in self.outputs}
        return Answered(rows=Rows(columns, 0), model=self.version)

    def _empty(self, field: Field) -> Column:
        if field.kind == "string":
            return []
        if field.ragged:
            values = np.zeros((0, *field.inner), field.dtype)
            return Ragged(values, np.zeros(1, np.int64))
        shape = (len(self.classes),) if field.name == "probs" and self.classes else field.inner
        return np.zeros((0, *shape), field.dtype or _DTYPES[field.kind])


def _without_limits(field: Field) -> Field:
    return msgspec.structs.replace(field, max_length=None, domain=None, min=None, max=None)


def _check_lengths(rows: Rows, names: Sequence[str]) -> None:
    """Check that a row's tensors of free length have one, and the same.

    Raises:
        Refusal: 422 that lists the rows whose tensors do not.
    """
    first, *others = (cast("Ragged", rows.columns[name]).lengths for name in names)
    odd = [(first == 0, names[0], "at least one element", first)]
    for name, lengths in zip(names[1:], others, strict=True):
        odd.append((lengths != first, name, f"as many elements as {names[0]!r} has", lengths))
    details = [
        RecordError(int(row), name, expected, str(lengths[row]))
        for wrong, name, expected, lengths in odd
        for row in np.flatnonzero(wrong)
    ]
    if details:
        raise bad_records(details, rows.count)


def _nobody_waits() -> None:
    """There is nothing to call off."""


def _plain_decoder(record: Any) -> Callable[[bytes], Any]:
    fields = [("instances", list[record])]
    body = msgspec.defstruct("Body", fields, forbid_unknown_fields=True)
    return msgspec.json.Decoder(body).decode


def _not_finite(column: Column, count: int) -> Iterator[int]:
    return (index for index in range(count) if not all_finite(np.asarray(column[index])))


class RequestIds:
    """Ids that no two requests share: 16 hex digits, from a random start, never in sequence.

    The step is odd, so that all 2^64 of them come before one comes again.
    """

    _STEP = 0x9E3779B97F4A7C15

    def __init__(self) -> None:
        self._state = int.from_bytes(os.urandom(8), "little")

    def next(self) -> str:
        """Return a new id."""
        self._state = state = (self._state + self._STEP) & 0xFFFFFFFFFFFFFFFF
        return f"{state:016x}"
