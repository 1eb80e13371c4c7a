"""The ASGI application: what a request passes on its way to an answer or a refusal."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gristmill.core.errors import UsageError
from gristmill.serve.protocols import metadata
from gristmill.serve.protocols.openapi import openapi
from gristmill.serve.protocols.page import HEADERS, page, page_facts
from gristmill.serve.protocols.plain import json_of
from gristmill.serve.protocols.served import RequestIds, Served
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.feedback import feedback
from gristmill.serve.routing.kept import Kept
from gristmill.serve.routing.truths import told_truths
from gristmill.serve.routing.watched import drift
from gristmill.serve.server.content_coding import WORTH_BYTES, pack
from gristmill.serve.server.headers import REQUEST_ID, request_id
from gristmill.serve.server.model_handlers import ModelHandlers
from gristmill.serve.server.request import Disconnected, Receive, Request, Scope
from gristmill.serve.server.response import Response, Send
from gristmill.serve.server.routes import Asking, Finder, Form, Handler, Route, Routes, shown
from gristmill.serve.server.stream_handlers import StreamHandlers
from gristmill.serve.server.tokens import Tokens
from gristmill.serve.server.traced import traced, traced_conversations
from gristmill.serve.watch.metrics import Metrics
from gristmill.serve.watch.request_log import RequestLog

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered
    from gristmill.serve.selection.feedback_log import FeedbackLog
    from gristmill.serve.streams.driver import StreamDriver
    from gristmill.serve.watch.tracing import Tracing

log = logging.getLogger("gristmill.serve")

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_HTML = b"text/html; charset=utf-8"
_SWITCHING = 101
_ODD_NAME = set("/?#\\") | {chr(code) for code in (*range(32), 127)}


class App:
    """An ASGI application that serves models.

    Args:
        models: what is served, each under its own name; the first also under `/v1/predict`.
        tokens: who may ask; everyone by default.
        tracing: makes a span of each request; none by default.

    Raises:
        UsageError: no model, two of one name, or a name that no path can hold.

    Attributes:
        models: by name.
        streams: what answers streams of pictures, of the models that have any.
        hot: paths, as they stand in a request, that `Connection` takes a short way to.
    """

    def __init__(
        self,
        models: Sequence[Served],
        tokens: Tokens | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        _check_names([served.name for served in models])
        self.models = {served.name: served for served in models}
        self.first = models[0]
        self.limits = self.first.limits
        self.metrics = Metrics()
        self._tokens = tokens or Tokens()
        self.streams: list[StreamDriver] = []
        self._ids = RequestIds()
        self._log = RequestLog(log)
        self._routes = self._build_routes()
        self._other = self.metrics.route("other")
        logs = (log for served in models for log in _feedback_logs(served.endpoint))
        self._feedback_logs = list({id(log): log for log in logs}.values())
        self.hot = {b"/v1/predict": "/v1/predict"}
        for name in self.models:
            for path in (f"/v1/models/{name}/predict", f"/v2/models/{name}/infer"):
                self.hot[path.encode()] = path
        for served in models:
            self.metrics.add_source(served.samples)
        if tracing is not None:  # nobody else pays for it: not even a question whether it is there
            self.hot = {}
            self.respond = traced(self.respond, tracing)  # type: ignore[method-assign]
            self.converse = traced_conversations(  # type: ignore[method-assign]
                self.converse, tracing
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            request = Request.of_scope(scope, receive)
            try:
                response = await self.respond(request)
            except Disconnected:
                return
            await response.send(send)
        elif scope["type"] == "websocket":
            headers, query = dict(scope["headers"]), scope.get("query_string", b"")
            request = Request("GET", scope["path"], headers, b"", query=query)
            await self.converse(request, receive, send)

    async def respond(self, request: Request, routes: Finder | None = None) -> Response:
        """Answer one request, or say why not.

        Args:
            request: what is asked.
            routes: where to look for its path; by default the routes of HTTP.

        Raises:
            Disconnected: the client left.
        """
        began = time.monotonic()
        route: Route | None = None
        try:
            request.name = request_id(request) or self._ids.next()
            route = request.route = (routes or self._routes).find(request.path)
            handler = route.handler(request.method)
            if not route.open:
                self._tokens.check(request)
            response = await handler(request)
        except Refusal as refusal:
            response = self._refused(request, refusal)
            await request.drain()
        except Disconnected:
            self._log.left(request, route)
            raise
        except Exception as error:
            response = self._failed(request, error)
        if len(response.body) >= WORTH_BYTES and b"accept-encoding" in request.headers:
            await pack(response, request.headers[b"accept-encoding"])
        return self._leave(request, route, response, began)

    def begin(
        self, request: Request, body: bytes, write: Callable[[Response], None]
    ) -> Callable[[], object]:
        """Answer a request that asks a model and is there as a whole, as `respond` does.

        Without a coroutine, a task and a future, which take longer than all that is done here.

        Args:
            request: a POST to one of the `hot` paths.
            body: its body, as it is: not packed.
            write: told the response, once, at the earliest in this call.

        Returns:
            what to call when the client has left.
        """
        began = time.monotonic()
        route: Route | None = None
        asking: Asking

        def told(outcome: Answered | Exception) -> None:
            if isinstance(outcome, Exception):
                response = self._trouble(request, outcome)
            else:
                response = self._written(request, asking, outcome)
            write(self._leave(request, route, response, began))

        try:
            request.name = request_id(request) or self._ids.next()
            route = self._routes.find(request.path)
            self._tokens.check(request)
            asking = route.asking(request, body)
            return asking.served.ask(asking.rows, asking.call, told)
        except Exception as error:
            told(error)
            return _nobody_waits

    @property
    def ready(self) -> bool:
        """Whether requests should come."""
        return all(served.ready for served in self.models.values() if served.decides)

    def stop(self) -> None:
        """Say that no new requests should come; those that do are still answered."""
        for served in self.models.values():
            served.ready = False
        for driver in self.streams:
            driver.stop()

    async def close(self) -> None:
        """Answer the requests that wait, take no more, let go of the models."""
        self.stop()
        for driver in self.streams:
            driver.close()
        for served in self.models.values():
            await served.endpoint.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _leave(
        self, request: Request, route: Route | None, response: Response, began: float
    ) -> Response:
        """Put the request's id on its answer, count it, log it."""
        response.headers.append((REQUEST_ID, request.name.encode()))
        seconds = time.monotonic() - began
        counts = self._other if route is None else route.metrics
        counts.done(response.status, seconds)
        if self._log.wanted:
            self._log.answered(request, route, response.status, seconds, len(response.body))
        return response

    def _written(self, request: Request, asking: Asking, answered: Answered) -> Response:
        try:
            asking.served.check_finite(answered.rows)
            return asking.write(answered)
        except Exception as error:
            return self._trouble(request, error)

    def _trouble(self, request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            return self._refused(request, error)
        return self._failed(request, error)

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers]
        request.name = request.name or self._ids.next()
        return Response.json(request.refused(refusal), refusal.status, headers)

    def _failed(self, request: Request, error: Exception) -> Response:
        """Log the exception under an id, and tell the client the id alone."""
        name = secrets.token_hex(6)
        words = (name, shown(request.method), shown(request.path))
        log.error("error %s: %s %s", *words, exc_info=error)
        message = f"the server failed on this request; its log has the reason under {name}"
        return self._refused(request, Refusal(500, "internal", message))

    def _build_routes(self) -> Routes:
        routes = Routes()
        fixed: dict[str, tuple[bool, dict[str, Handler]]] = {
            "/": (True, {"GET": self._get_page}),
            "/healthz": (True, {"GET": _always({"live": True})}),
            "/readyz": (True, {"GET": self._get_ready}),
            "/metrics": (False, {"GET": self._get_metrics}),
            "/openapi.json": (False, {"GET": self._get_openapi}),
            "/v1/models": (False, {"GET": self._get_models}),
            "/v1/feedback": (False, {"POST": self._post_feedback}),
            "/v1/drift": (False, {"GET": self._get_drift}),
            "/v2": (False, {"GET": _always(metadata.server_metadata())}),
            "/v2/health/live": (True, {"GET": _always({"live": True})}),
            "/v2/health/ready": (True, {"GET": self._get_ready}),
            "/v2/repository/index": (False, {"POST": self._post_index}),
        }
        for path, (open_, handlers) in fixed.items():
            routes.add(path, Route(path, handlers, self.metrics.route(path), open=open_))
        for served in self.models.values():
            self._add_model(routes, served)
        return routes

    def _add_model(self, routes: Routes, served: Served) -> None:
        own = ModelHandlers(served)
        forms: dict[str, Form] = {
            "/v1/predict": own.plain,
            "/v1/models/{name}/predict": own.plain,
            "/v2/models/{name}/infer": own.tensors,
        }
        paths: dict[str, dict[str, Handler]] = {
            "/v1/models/{name}/predict": {"POST": own.predict},
            "/v2/models/{name}": {"GET": own.metadata},
            "/v2/models/{name}/ready": {"GET": own.ready},
            "/v2/models/{name}/config": {"GET": own.config},
            "/v2/models/{name}/infer": {"POST": own.infer},
            "/v1/models/{name}/feedback": {"POST": self._truths(served)},
        }
        if served is self.first:
            paths["/v1/predict"] = {"POST": own.predict}
        for pattern, handlers in paths.items():
            counts = self.metrics.route(pattern, served.name)
            path = pattern.replace("{name}", served.name)
            form = forms.get(pattern)
            routes.add(path, Route(pattern, handlers, counts, served.name, form=form))
        if served.streaming is not None:
            self._add_streams(routes, served)
        routes.add_model(served.name, lambda: served.version)

    def _add_streams(self, routes: Routes, served: Served) -> None:
        own = StreamHandlers(served)
        pattern = "/v1/streams/{name}/{stream}"
        handlers: dict[str, Handler] = {"POST": own.post, "DELETE": own.delete}
        counts = self.metrics.route(pattern, served.name)
        route = Route(pattern, handlers, counts, served.name, converse=own.conversation)
        routes.add_streams(f"/v1/streams/{served.name}", route)
        self.metrics.add_source(own.driver.samples)
        self.streams.append(own.driver)

    async def converse(self, request: Request, receive: Receive, send: Send) -> int:
        """Accept a WebSocket and hold its conversation, or say why not.

        Returns the status with which it began: 101, or why not.
        """
        began = time.monotonic()
        route: Route | None = None
        try:
            request.name = request_id(request) or self._ids.next()
            route = request.route = self._routes.find(request.path)
            self._tokens.check(request)
            conversation = route.conversation(request, receive, send)
        except Refusal as refusal:
            response = self._leave(request, route, self._refused(request, refusal), began)
            await response.refuse_websocket(send)
            return response.status
        accepted = self._leave(request, route, Response(b"", _SWITCHING), began)
        if (await receive())["type"] == "websocket.connect":
            await send({"type": "websocket.accept", "headers": accepted.headers})
            await conversation.hold()
        return accepted.status

    async def _get_page(self, _: Request) -> Response:
        facts = None if self._tokens else page_facts(list(self.models.values()))
        return Response(page(facts), content_type=_HTML, headers=HEADERS)

    async def _get_models(self, _: Request) -> Response:
        return Response.json(page_facts(list(self.models.values())))

    async def _get_openapi(self, _: Request) -> Response:
        return Response.json(openapi(list(self.models.values()), bool(self._tokens)))

    async def _get_metrics(self, _: Request) -> Response:
        return Response(self.metrics.text().encode(), content_type=_METRICS_TYPE)

    async def _get_ready(self, _: Request) -> Response:
        ready = self.ready
        problems = dict.fromkeys(line for each in self.models.values() for line in each.problems)
        said = {"ready": ready} | ({"problems": list(problems)} if problems else {})
        return Response.json(said, 200 if ready else 503)

    async def _post_feedback(self, request: Request) -> Response:
        body = await request.body(self.limits.max_body, self.limits.body_timeout)
        return Response(feedback(self._feedback_logs, body))

    def _truths(self, served: Served) -> Handler:
        """Return what takes feedback on the predictions of one model."""
        logs = list(_feedback_logs(served.endpoint))

        async def handler(request: Request) -> Response:
            body = await request.body(self.limits.max_body, self.limits.body_timeout)
            if isinstance(served.endpoint, Kept):
                return Response(await told_truths(served.endpoint, logs, body))
            return Response(feedback(logs, body))

        return handler

    async def _get_drift(self, _: Request) -> Response:
        return Response(await drift([served.endpoint for served in self.models.values()]))

    async def _post_index(self, request: Request) -> Response:
        body = await request.body(self.limits.max_body, self.limits.body_timeout)
        asked = json_of(body) if body.strip() else {}
        if not isinstance(asked, dict) or not isinstance(asked.get("ready", False), bool):
            raise Refusal(400, "wrong_form", 'expected {"ready": true or false}, or no body')
        only_ready = asked.get("ready", False)
        return Response.json(metadata.repository_index(self.models.values(), only_ready))


def _nobody_waits() -> None:
    """There is nothing to call off: the answer is written."""


def _always(value: object) -> Handler:
    async def handler(_: Request) -> Response:
        return Response.json(value)

    return handler


def _feedback_logs(endpoint: object) -> Iterator[FeedbackLog]:
    """Yield the logs of an endpoint and of those that it is made of."""
    own = getattr(endpoint, "feedback", None)
    if own is not None:
        yield own
    for member in getattr(endpoint, "members", ()):
        yield from _feedback_logs(member)


def _check_names(names: list[str]) -> None:
    if not names:
        raise UsageError("expected a model to serve, found none")
    for name in names:
        if not name or name in (".", "..") or set(name) & _ODD_NAME:
            raise UsageError(f"{name!r} cannot be part of a path", fix="serve it as NAME=BUNDLE")
        if names.count(name) > 1:
            raise UsageError(
                f"two models have the name {name!r}", fix="serve one of them as NAME=BUNDLE"
            )
