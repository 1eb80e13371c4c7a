"""What the routes of one model's streams do: answer a picture, forget a stream, converse.

POST   /v1/streams/{model}/{stream}   one picture, answered; the next one of the stream again so
DELETE /v1/streams/{model}/{stream}   drop what is kept of it
GET    the same, as a WebSocket       pictures in, answers out (`streams.conversation`)

The query says how far answers may be from those in full (`streams.tolerance`).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gristmill.serve.protocols.media import BYTES
from gristmill.serve.protocols.plain import PlainAnswers
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.headers import call_of
from gristmill.serve.server.request import Receive, Request
from gristmill.serve.server.response import Response, Send
from gristmill.serve.streams.conversation import Conversation, marks_of
from gristmill.serve.streams.driver import StreamDriver
from gristmill.serve.streams.frame import Frame
from gristmill.serve.streams.tolerance import tolerance_of

if TYPE_CHECKING:
    from gristmill.serve.protocols.served import Served

_NAME = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class StreamHandlers:
    """The handlers of one model's streams.

    Args:
        served: the model; it has streams.

    Attributes:
        driver: answers them.
    """

    def __init__(self, served: Served) -> None:
        self.driver = StreamDriver(served)
        self._served = served
        self._writer = PlainAnswers(served.name, served.classes)

    async def post(self, request: Request) -> Response:
        """POST: one picture in, its answer out."""
        limits, stream = self._served.limits, name_of(request)
        tolerance = tolerance_of(request.query)
        now = time.monotonic()
        call = call_of(request, request.name, now, limits.deadline, limits.max_deadline)
        # Whatever else it is said to be: clients rarely know, and files say it themselves.
        kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        frame = Frame(
            await request.body(limits.max_body, limits.body_timeout), raw=kind == BYTES.encode()
        )
        told = await self.driver.answer(stream, lambda: frame, call.deadline, call.trace, tolerance)
        if call.trace is not None:
            call.trace.answered(self._served.name, told.answered.model, 1, cached=0, degraded=False)
        prefix = f"p{told.answered.model[:8]}-{request.name}-"
        return Response(self._writer.write(told.answered, prefix, marks_of(told)))

    async def delete(self, request: Request) -> Response:
        """DELETE: forget a stream."""
        return Response.json({"forgotten": self.driver.forget(name_of(request))})

    def conversation(self, request: Request, receive: Receive, send: Send) -> Conversation:
        """Return what a WebSocket is held with; it is to be accepted yet.

        Raises:
            Refusal: 400, the stream has no proper name, or its query is wrong; 403, another site's
                page asks.
        """
        _check_origin(request)
        stream, tolerance = name_of(request), tolerance_of(request.query)
        name, trace = request.name, request.trace
        return Conversation(
            self.driver, stream, self._writer, receive, send, name, tolerance, trace
        )


def name_of(request: Request) -> str:
    """Return the name of the stream that a path ends with.

    Raises:
        Refusal: 400, no stream is called so.
    """
    name = request.path.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise Refusal(
            400,
            "bad_stream_name",
            "expected a stream's name of 1 to 128 letters, digits and . _ ~ - as the path's end, "
            f"found {name[:40]!r}",
        )
    return name


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site asks for: browsers let any page open a WebSocket.

    Raises:
        Refusal: 403.
    """
    origin, host = request.text(b"origin"), request.text(b"host")
    if origin is not None and urlsplit(origin).netloc.lower() != (host or "").lower():
        raise Refusal(
            403,
            "wrong_origin",
            f"expected a page of {host}, found one of {origin[:100]!r}",
            fix="have one web server give the page and pass streams on, with the page's Host",
        )
