"""What the routes of one model do: predict in any form, infer, tell of itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gristmill.serve.online.endpoint import Answered, Call
from gristmill.serve.protocols import media
from gristmill.serve.protocols.comma_separated import csv_of, rows_of_csv
from gristmill.serve.protocols.inference_request import read_request
from gristmill.serve.protocols.inference_response import wanted_outputs, write_response
from gristmill.serve.protocols.inference_tensors import InferRequest
from gristmill.serve.protocols.media import accepted_kind, content_kind
from gristmill.serve.protocols.metadata import model_config, model_metadata
from gristmill.serve.protocols.plain import PlainAnswers
from gristmill.serve.protocols.raw import (
    answer_array,
    bytes_of,
    npy_of,
    rows_of_npy,
)
from gristmill.serve.protocols.tensors import DATATYPE, wrong_tensor
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.headers import DEGRADED, PREDICTION, PRIORITIES, call_of
from gristmill.serve.server.request import Request
from gristmill.serve.server.response import Header, Response
from gristmill.serve.server.routes import Asking

if TYPE_CHECKING:
    from gristmill.serve.protocol import Limits
    from gristmill.serve.protocols.served import Served
    from gristmill.serve.runners.rows import Rows

_INFERENCE_LENGTH = b"inference-header-content-length"
_BINARY = media.BYTES.encode()


class ModelHandlers:
    """The handlers of one model's routes.

    Args:
        served: the model.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self._writer = PlainAnswers(served.name, served.classes)

    async def predict(self, request: Request) -> Response:
        """POST /v1/predict: records or a tensor in, predictions out."""
        return await self._answer(request, self.plain(request))

    async def infer(self, request: Request) -> Response:
        """POST /v2/models/{name}/infer: tensors in, tensors out."""
        return await self._answer(request, self.tensors(request))

    def plain(self, request: Request) -> Callable[[bytes], Asking]:
        """Read the head of a request in the plain form; return what reads its body.

        Raises:
            Refusal: a header is wrong; so does what reads the body, of that.
        """
        served, headers = self.served, request.headers
        given = content_kind(headers.get(b"content-type"))
        wanted = accepted_kind(headers.get(b"accept"))
        call = self._call(request)

        def write(answered: Answered) -> Response:
            prefix = f"{answered.prediction or f'p{answered.model[:8]}-{call.request_id}'}-"
            if wanted != media.JSON:
                return self._other(answered, prefix, wanted)
            made = self._writer.write(answered, prefix)
            return Response(made, headers=marks(answered) if answered.degraded else ())

        def read(body: bytes) -> Asking:
            json = given.kind == media.JSON
            rows = served.rows_of_json(body) if json else self._rows(given, body)
            return Asking(served, rows, call, write)

        return read

    def tensors(self, request: Request) -> Callable[[bytes], Asking]:
        """Read the head of a request of the Open Inference Protocol; as `plain`."""
        served = self.served
        length = request.text(_INFERENCE_LENGTH)
        given = content_kind(request.headers.get(b"content-type")).kind
        if given not in (media.JSON, media.BYTES):
            raise Refusal(
                415,
                "wrong_content_type",
                f"expected content type {media.JSON} or {media.BYTES}, found {given}",
            )
        call = self._call(request)

        def read(body: bytes) -> Asking:
            asked, rows = read_request(served, body, length)
            wanted = wanted_outputs(served, asked)
            heed(asked, call, served.limits)

            def write(answered: Answered) -> Response:
                made, json_length = write_response(served, asked, answered, wanted)
                headers = marks(answered) if answered.degraded else []
                if json_length is None:
                    return Response(made, headers=headers)
                headers.append((_INFERENCE_LENGTH, b"%d" % json_length))
                return Response(made, content_type=_BINARY, headers=headers)

            return Asking(served, rows, call, write)

        return read

    async def metadata(self, _: Request) -> Response:
        """GET /v2/models/{name}."""
        return Response.json(model_metadata(self.served))

    async def config(self, _: Request) -> Response:
        """GET /v2/models/{name}/config."""
        return Response.json(model_config(self.served))

    async def ready(self, _: Request) -> Response:
        """GET /v2/models/{name}/ready."""
        ready = self.served.ready
        body = {"name": self.served.name, "ready": ready}
        return Response.json(body, 200 if ready else 503)

    async def _answer(self, request: Request, read: Callable[[bytes], Asking]) -> Response:
        limits = self.served.limits
        asking = read(await request.body(limits.max_body, limits.body_timeout))
        return asking.write(await self.served.answer(asking.rows, asking.call))

    def _call(self, request: Request) -> Call:
        limits = self.served.limits
        return call_of(
            request, request.name, time.monotonic(), limits.deadline, limits.max_deadline
        )

    def _rows(self, given: media.Media, body: bytes) -> Rows:
        if given.kind == media.CSV:
            return rows_of_csv(self.served, body, given.header)
        if given.kind == media.BYTES:
            return self.served.raw.rows(body)
        return rows_of_npy(self.served.asked, body)

    def _other(self, answered: Answered, prefix: str, wanted: str) -> Response:
        served = self.served
        headers = [*marks(answered), (b"x-gristmill-model", answered.model.encode())]
        if answered.prediction:
            headers.append((PREDICTION, answered.prediction.encode()))
        kind = wanted.encode()
        if wanted == media.CSV:
            made = csv_of(answered, prefix, served.classes)
            return Response(made, content_type=b"text/csv; charset=utf-8", headers=headers)
        array = answer_array(answered.rows.columns, served.outputs, bool(served.classes))
        if wanted == media.NPY:
            return Response(npy_of(array), content_type=kind, headers=headers)
        shape = ",".join(map(str, array.shape)).encode()
        headers += [
            (b"x-gristmill-shape", shape),
            (b"x-gristmill-datatype", DATATYPE[array.dtype].encode()),
        ]
        return Response(bytes_of(array), content_type=kind, headers=headers)


def heed(asked: InferRequest, call: Call, limits: Limits) -> None:
    """Take the id, and from the parameters of Triton's clients priority and time (microseconds).

    Raises:
        Refusal: 400, they are none.
    """
    call.key = asked.id
    priority, timeout = asked.parameters.get("priority"), asked.parameters.get("timeout")
    if priority:
        if type(priority) is not int or not 0 <= priority <= PRIORITIES:
            raise wrong_tensor(f"expected a priority from 0 to {PRIORITIES}")
        call.priority = priority
    if timeout:
        if type(timeout) is not int or timeout < 0:
            raise wrong_tensor("expected a timeout in microseconds, an integer")
        call.deadline = time.monotonic() + min(timeout / 1e6, limits.max_deadline)


def marks(answered: Answered) -> list[Header]:
    """Return the headers that mark an answer which is not the model's own."""
    return [(DEGRADED, b"true")] if answered.degraded else []
