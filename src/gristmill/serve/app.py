"""The ASGI application: which route answers what, and what a client is told when one fails.

GET  /                              a page to try the model
POST /v1/predict                    plain JSON form
GET  /v2, /v2/health/live|ready     Open Inference Protocol v2
GET  /v2/models/{name}[/versions/{version}][/ready]
POST /v2/models/{name}[/versions/{version}]/infer
GET  /openapi.json, /metrics
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from gristmill.serve import openinference, plain
from gristmill.serve.openapi import openapi
from gristmill.serve.page import HEADERS, page
from gristmill.serve.protocol import Limits, Model, RunnerLike
from gristmill.serve.refusal import Refusal
from gristmill.serve.service import Service
from gristmill.serve.wire import Disconnected, Receive, Request, Response, Scope, Send

log = logging.getLogger("gristmill.serve")

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Route(NamedTuple):
    """One route: its name in the metrics, and a handler per method."""

    name: str
    handlers: Mapping[str, Handler]

    def handler(self, method: str) -> Handler:
        """Return the handler of a method; HEAD is GET without the body.

        Raises:
            Refusal: 405.
        """
        found = self.handlers.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = ", ".join([*self.handlers, *(["HEAD"] if "GET" in self.handlers else [])])
            raise Refusal(
                405,
                "wrong_method",
                f"expected {allowed}, found {method}",
                headers=[("Allow", allowed)],
            )
        return found


class App:
    """An ASGI application that serves one model.

    Args:
        service: what answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._page = page(service)
        self._openapi = openapi(service)
        self._routes = self._build_routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, receive), send)

    async def _http(self, request: Request, send: Send) -> None:
        began = time.perf_counter()
        name, response = "other", None
        try:
            route = self._route(request.path)
            name = route.name
            response = await route.handler(request.method)(request)
        except Refusal as refusal:
            response = _refused(request, refusal)
            await request.drain()
        except Disconnected:
            log.info("%s %s: the client left", request.method, name)
            return
        except Exception:
            response = _failed(request)
        await response.send(send)
        seconds = time.perf_counter() - began
        self.service.metrics.request(name, response.status, seconds)
        log.info("%s %s %d %.1f ms", request.method, name, response.status, seconds * 1000)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.service.batcher.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _build_routes(self) -> dict[str, Route]:
        model = f"/v2/models/{self.service.model.name}"
        version = f"{model}/versions/{self.service.model.fingerprint}"
        routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._get_page},
            "/v1/predict": {"POST": self._predict},
            "/v2": {"GET": _always(openinference.server_metadata())},
            "/v2/health/live": {"GET": _always({"live": True})},
            "/v2/health/ready": {"GET": self._get_ready},
            "/openapi.json": {"GET": _always(self._openapi)},
            "/metrics": {"GET": self._get_metrics},
        }
        found = {path: Route(path, handlers) for path, handlers in routes.items()}
        name = "/v2/models/{name}"
        for base in (model, version):
            metadata = _always(openinference.model_metadata(self.service))
            found[base] = Route(name, {"GET": metadata})
            found[f"{base}/ready"] = Route(f"{name}/ready", {"GET": self._get_model_ready})
            found[f"{base}/infer"] = Route(f"{name}/infer", {"POST": self._infer})
        return found

    def _route(self, path: str) -> Route:
        route = self._routes.get(path)
        if route is not None:
            return route
        if path.startswith("/v2/models/"):
            raise Refusal(
                404,
                "unknown_model",
                f"expected a path of model {self.service.model.name!r}, "
                f"version {self.service.model.fingerprint}, found {_shown(path)}",
            )
        raise Refusal(404, "unknown_path", f"no such path: {_shown(path)}", fix="see /openapi.json")

    async def _get_page(self, _: Request) -> Response:
        return Response(self._page, content_type="text/html; charset=utf-8", headers=HEADERS)

    async def _get_metrics(self, _: Request) -> Response:
        return Response(self.service.metrics.text().encode(), content_type=_METRICS_TYPE)

    async def _get_ready(self, _: Request) -> Response:
        return Response.json({"ready": self.service.ready}, self._ready_status())

    async def _get_model_ready(self, _: Request) -> Response:
        body = {"name": self.service.model.name, "ready": self.service.ready}
        return Response.json(body, self._ready_status())

    async def _predict(self, request: Request) -> Response:
        return Response.json(await plain.predict(self.service, await self._payload(request)))

    async def _infer(self, request: Request) -> Response:
        return Response.json(await openinference.infer(self.service, await self._payload(request)))

    async def _payload(self, request: Request) -> object:
        return await request.json(self.service.limits.max_body, self.service.limits.body_timeout)

    def _ready_status(self) -> int:
        return 200 if self.service.ready else 503


def app_from_runner(
    runner: RunnerLike, *, name: str, fingerprint: str, limits: Limits | None = None
) -> App:
    """Return the ASGI application that serves a runner under a name and a fingerprint."""
    return App(Service(runner, Model(name, fingerprint), limits or Limits()))


def _always(value: object) -> Handler:
    async def handler(_: Request) -> Response:
        return Response.json(value)

    return handler


def _refused(request: Request, refusal: Refusal) -> Response:
    body = {"error": refusal.text()} if request.path.startswith("/v2") else refusal.body()
    return Response.json(body, refusal.status, refusal.headers)


def _failed(request: Request) -> Response:
    """Log the exception under an id, and tell the client the id alone."""
    name = secrets.token_hex(6)
    log.exception("error %s: %s %s", name, request.method, _shown(request.path))
    message = f"the server failed on this request; its log has the reason under {name}"
    return _refused(request, Refusal(500, "internal", message))


def _shown(path: str) -> str:
    """Return a path as it may stand in a log or an answer: quoted, and not too long."""
    text = quote(path.encode("utf-8", "replace"))
    return text if len(text) <= 100 else text[:97] + "..."
