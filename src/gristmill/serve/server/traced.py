"""Requests under the eyes of OpenTelemetry: a span around each."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from gristmill.serve.protocols.grpc_messages import SERVICE
from gristmill.serve.server.grpc_request import GrpcRequest, code_of

if TYPE_CHECKING:
    from gristmill.serve.server.request import Request
    from gristmill.serve.server.response import Response
    from gristmill.serve.server.routes import Finder
    from gristmill.serve.watch.tracing import Tracing

_PROBES = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
_LEFT = 499


class Respond(Protocol):
    """What `App.respond` is."""

    def __call__(
        self, request: Request, routes: Finder | None = None
    ) -> Coroutine[Any, Any, Response]:
        """Answer one request, or say why not."""


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
            trace.end(name, facts, failed=status >= 500)

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
