"""Requests and conversations under the eyes of OpenTelemetry: a span around each."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from gristmill.serve.protocols.grpc_messages import SERVICE
from gristmill.serve.server.grpc_request import GrpcRequest, code_of

if TYPE_CHECKING:
    from gristmill.serve.server.request import Receive, Request
    from gristmill.serve.server.response import Response, Send
    from gristmill.serve.server.routes import Finder
    from gristmill.serve.watch.tracing import Tracing

_PROBES = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
_LEFT, _FAILED = 499, 500


class Respond(Protocol):
    """What `App.respond` is."""

    def __call__(
        self, request: Request, routes: Finder | None = None
    ) -> Coroutine[Any, Any, Response]:
        """Answer one request, or say why not."""


class Converse(Protocol):
    """What `App.converse` is."""

    def __call__(self, request: Request, receive: Receive, send: Send) -> Coroutine[Any, Any, int]:
        """Hold a conversation; return the status that it began with."""


def traced(respond: Respond, tracing: Tracing) -> Respond:
    """Return `respond` with a span around each request, those of probes left out."""

    async def around(request: Request, routes: Finder | None = None) -> Response:
        if request.path in _PROBES:
            return await respond(request, routes)
        trace = request.trace = tracing.begin(request.method, request.headers)
        status = _LEFT
        try:
            response = await respond(request, routes)
            status = response.status
            return response
        finally:
            name, facts = _facts(request, status)
            trace.end(name, facts, failed=status >= _FAILED)

    return around


def traced_conversations(converse: Converse, tracing: Tracing) -> Converse:
    """Return `converse` with a span around each conversation, from the handshake to its end."""

    async def around(request: Request, receive: Receive, send: Send) -> int:
        trace = request.trace = tracing.begin(request.method, request.headers)
        status = _FAILED
        try:
            status = await converse(request, receive, send)
            return status
        finally:
            name, facts = _facts(request, status)
            trace.end(name, facts, failed=status >= _FAILED)

    return around


def _facts(request: Request, status: int) -> tuple[str, dict[str, str | int]]:
    """Return the span's name, and attributes by the semantic conventions."""
    facts: dict[str, str | int] = {"gristmill.request_id": request.name}
    if isinstance(request, GrpcRequest):
        facts |= {
            "rpc.system": "grpc",
            "rpc.service": SERVICE,
            "rpc.method": request.rpc,
            "rpc.grpc.status_code": code_of(status),
        }
        return f"{SERVICE}/{request.rpc}", facts
    facts |= {"http.request.method": request.method, "http.response.status_code": status}
    route = request.route
    if route is None:
        return request.method, facts
    return f"{request.method} {route.name}", facts | {"http.route": route.name}
