"""The rehearsal: a bundle in a server process of its own answers stored requests.

That a model has good figures doesn't say that it can be served: a file may be missing, an operator
unknown, an answer too slow. TFX calls this infrastructure validation (Baylor et al. 2017, 3.3).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import GristmillError, ServeError
from gristmill.core.quantities import format_seconds
from gristmill.serve.refusal import Refusal

if TYPE_CHECKING:
    from gristmill.pipeline.releasing.stored_request import StoredRequest
    from gristmill.serve.client import Client

_PATH = "/v1/predict"
_WARM_UP = 5
_REPEATS = 40
_CLIENT_ERRORS = range(400, 500)
_TOO_BUSY = 429
_TOO_LATE = 503
_TRIES = 3


class Rehearsal(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        requests: how many were sent, repeats apart.
        failures: a sentence for each that went wrong.
        p99_seconds: time within which 99 % of the good requests were answered, one after the
            other; None where none was.
    """

    requests: int
    failures: list[str]
    p99_seconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the bundle may answer real requests."""
        return not self.failures

    def __str__(self) -> str:
        fast = "" if self.p99_seconds is None else f", p99 {format_seconds(self.p99_seconds)}"
        if self.passed:
            return f"rehearsal: {self.requests} requests as expected{fast}"
        return "\n".join([f"rehearsal failed{fast}", *(f"  - {said}" for said in self.failures)])


def rehearse(
    bundle: Path, requests: Sequence[StoredRequest], *, latency: float | None = None
) -> Rehearsal:
    """Start a bundle in a process of its own, ask it, and stop it.

    Args:
        bundle: its folder.
        requests: what it is asked; see `made_up_requests` and `read_requests`.
        latency: the objective: seconds within which 99 % of good requests must be answered.
    """
    from gristmill.serve.server.process import running_server

    try:
        with running_server(bundle) as server:
            failures = [said for each in requests for said in _wrong(server.client, each)]
            good = [each for each in requests if each.expect == "answer"]
            p99 = None if failures or not good else _p99(server.client, good)
    except GristmillError as error:
        return Rehearsal(len(requests), [f"it cannot be served: {error.message}"])
    if latency is not None and p99 is not None and p99 > latency:
        failures.append(
            f"99 % of requests are answered within {format_seconds(p99)}, the objective is "
            f"{format_seconds(latency)}"
        )
    return Rehearsal(len(requests), failures, p99)


def _wrong(client: Client, asked: StoredRequest) -> Iterator[str]:
    """Yield what is wrong with the answer to a request."""
    try:
        answer = _answer(client, asked)
    except Refusal as refusal:
        if asked.expect == "answer":
            yield f"{asked.name}: refused: {refusal.message}"
        elif refusal.status not in _CLIENT_ERRORS or refusal.status == _TOO_BUSY:
            yield f"{asked.name}: expected a refusal with its reason, found {refusal.message}"
    except ServeError as error:
        yield f"{asked.name}: {error.message}"
    else:
        yield from _wrong_answer(answer, asked)


def _answer(client: Client, asked: StoredRequest) -> bytes:
    """Ask; again if it is late: that the machine stood still for a while says nothing of a bundle.

    One that is late each time is.
    """
    for _ in range(_TRIES - 1):
        try:
            return client.request("POST", _PATH, asked.payload)
        except Refusal as refusal:
            if refusal.status != _TOO_LATE:
                raise
    return client.request("POST", _PATH, asked.payload)


def _wrong_answer(answer: bytes, asked: StoredRequest) -> Iterator[str]:
    if asked.expect == "refusal":
        yield f"{asked.name}: expected a refusal, found an answer"
        return
    predictions = msgspec.json.decode(answer)["predictions"]
    if asked.instances and len(predictions) != len(asked.instances):
        yield f"{asked.name}: {len(predictions)} answers to {len(asked.instances)} records"
    elif asked.label and predictions[0].get("label") != asked.label:
        found = predictions[0].get("label")
        yield f"{asked.name}: expected the label {asked.label!r}, found {found!r}"


def _p99(client: Client, good: Sequence[StoredRequest]) -> float:
    """Return the 99th percentile of the time of an answer, after a few to warm up."""
    spent = []
    for turn in range(_WARM_UP + _REPEATS):
        asked = good[turn % len(good)]
        began = time.perf_counter()
        _answer(client, asked)
        if turn >= _WARM_UP:
            spent.append(time.perf_counter() - began)
    return quantiles(spent, n=100, method="inclusive")[-1]
