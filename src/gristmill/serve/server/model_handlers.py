"""What the routes of one model do: predict in any form, infer, tell of itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gristmill.serve.online.endpoint import Answered, Call
from gristmill.serve.protocols import media
from gristmill.serve.protocols.comma_separated import csv_of, rows_of_csv
from gristmill.serve.protocols.inference_request import InferRequest, read_request
from gristmill.serve.protocols.inference_response import wanted_outputs, write_response
from gristmill.serve.protocols.media import accepted_kind, content_kind
from gristmill.serve.protocols.metadata import model_config, model_metadata
from gristmill.serve.protocols.plain import PlainAnswers
from gristmill.serve.protocols.raw import (
    answer_array,
    bytes_of,
    npy_of,
    rows_of_bytes,
    rows_of_npy,
)
from gristmill.serve.protocols.tensors import DATATYPE, wrong_tensor
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.headers import DEGRADED, PRIORITIES, call_of
from gristmill.serve.server.request import Request
from gristmill.serve.server.response import Header, Response

if TYPE_CHECKING:
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
        self._plain = PlainAnswers(served.name, served.classes)

    async def predict(self, request: Request) -> Response:
        """POST /v1/predict: records or a tensor in, predictions out."""
        served, limits = self.served, self.served.limits
        headers = request.headers
        given = content_kind(headers.get(b"content-type"))
        wanted = accepted_kind(headers.get(b"accept"))
        call = self._call(request)
        body = await request.body(limits.max_body, limits.body_timeout)
        rows = served.rows_of_json(body) if given.kind == media.JSON else self._rows(given, body)
        answered = await served.answer(rows, call)
        prefix = f"{answered.prediction or f'p{answered.model[:8]}-{call.request_id}'}-"
        if wanted == media.JSON:
            made = self._plain.write(answered, prefix)
            return Response(made, headers=_marks(answered) if answered.degraded else ())
        return self._other(answered, prefix, wanted)

    async def infer(self, request: Request) -> Response:
        """POST /v2/models/{name}/infer: tensors in, tensors out."""
        served, limits = self.served, self.served.limits
        length = request.text(_INFERENCE_LENGTH)
        given = content_kind(request.headers.get(b"content-type")).kind
        if given not in (media.JSON, media.BYTES):
            raise Refusal(
                415,
                "wrong_content_type",
                f"expected content type {media.JSON} or {media.BYTES}, found {given}",
            )
        call = self._call(request)
        body = await request.body(limits.max_body, limits.body_timeout)
        asked, rows = read_request(served, body, length)
        wanted = wanted_outputs(served, asked)
        self._heed(asked, call)
        answered = await served.answer(rows, call)
        made, json_length = write_response(served, asked, answered, wanted)
        headers = _marks(answered) if answered.degraded else []
        if json_length is None:
            return Response(made, headers=headers)
        headers.append((_INFERENCE_LENGTH, b"%d" % json_length))
        return Response(made, content_type=_BINARY, headers=headers)

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

    def _call(self, request: Request) -> Call:
        limits = self.served.limits
        return call_of(
            request, request.name, time.monotonic(), limits.deadline, limits.max_deadline
        )

    def _rows(self, given: media.Media, body: bytes) -> Rows:
        if given.kind == media.CSV:
            return rows_of_csv(self.served, body, given.header)
        read = rows_of_bytes if given.kind == media.BYTES else rows_of_npy
        return read(self.served.asked, body)

    def _other(self, answered: Answered, prefix: str, wanted: str) -> Response:
        served = self.served
        headers = [*_marks(answered), (b"x-gristmill-model", answered.model.encode())]
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

    def _heed(self, asked: InferRequest, call: Call) -> None:
        """Take priority and time limit (microseconds) from the parameters of Triton's clients."""
        priority, timeout = asked.parameters.get("priority"), asked.parameters.get("timeout")
        if priority:
            if type(priority) is not int or not 0 <= priority <= PRIORITIES:
                raise wrong_tensor(f"expected a priority from 0 to {PRIORITIES}")
            call.priority = priority
        if timeout:
            if type(timeout) is not int or timeout < 0:
                raise wrong_tensor("expected a timeout in microseconds, an integer")
            seconds = min(timeout / 1e6, self.served.limits.max_deadline)
            call.deadline = time.monotonic() + seconds


def _marks(answered: Answered) -> list[Header]:
    return [(DEGRADED, b"true")] if answered.degraded else []
