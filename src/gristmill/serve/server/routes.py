"""Paths and what answers them: a dictionary of whole paths, so that no path can trick another.

Only a stream's name, which a client makes up, is no part of it: that of the path before it is.

GET  /                              a page to try the models
POST /v1/predict                    plain form, of the first model
GET  /v1/models                     what every model reads and answers
POST /v1/models/{name}/predict      plain form
POST /v1/models/{name}/feedback     what was true of kept predictions
POST, DELETE, WebSocket /v1/streams/{name}/{stream}    pictures of a stream, where there are any
GET  /v2, /v2/health/live|ready     Open Inference Protocol v2
POST /v2/repository/index
GET  /v2/models/{name}[/versions/{version}][/ready|/config]
POST /v2/models/{name}[/versions/{version}]/infer
GET  /healthz, /readyz, /metrics, /openapi.json
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias
from urllib.parse import quote

from gristmill.core.errors import ServeError
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.request import Receive, Request
from gristmill.serve.server.response import Response, Send
from gristmill.serve.watch.metrics import RouteMetrics

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Answered, Call
    from gristmill.serve.protocols.served import Served
    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.streams.conversation import Conversation

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

_MOST_NAMED = 5


class Asking(NamedTuple):
    """What a request asks a model, and how its answer is written."""

    served: Served
    rows: Rows
    call: Call
    write: Callable[[Answered], Response]


Converse: TypeAlias = "Callable[[Request, Receive, Send], Conversation]"
"""Begins a conversation over a WebSocket that is about to be accepted."""

Form: TypeAlias = Callable[[Request], Callable[[bytes], Asking]]
"""A form in which models are asked: it is shown a request's head first, then the body."""


class Route:
    """One route.

    Args:
        name: its pattern, as the metrics and the log show it.
        handlers: a handler per method.
        metrics: its counts.
        model: name of its model, if it has one.
        open: whether it answers without a token.
        form: where a POST asks a model: in which form.
        converse: where it may become a WebSocket: what that is for.
    """

    __slots__ = ("_converse", "_form", "handlers", "metrics", "model", "name", "open")

    def __init__(
        self,
        name: str,
        handlers: Mapping[str, Handler],
        metrics: RouteMetrics,
        model: str = "",
        open: bool = False,  # noqa: A002 - the field's own word
        form: Form | None = None,
        converse: Converse | None = None,
    ) -> None:
        self.name, self.handlers, self.metrics = name, handlers, metrics
        self.model, self.open, self._form, self._converse = model, open, form, converse

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
                f"expected {allowed}, found {shown(method)}",
                headers=[("Allow", allowed)],
            )
        return found

    def asking(self, request: Request, body: bytes) -> Asking:
        """Read a request that is there as a whole; only for routes with a form.

        Raises:
            Refusal: as the form.
        """
        if self._form is None:
            raise ServeError(f"nothing is asked at {self.name}")
        return self._form(request)(body)

    def conversation(self, request: Request, receive: Receive, send: Send) -> Conversation:
        """Return what a WebSocket is for; it is to be accepted yet.

        Raises:
            Refusal: 404, none is taken here; or as what begins it.
        """
        if self._converse is None:
            raise Refusal(404, "no_websocket", f"no WebSocket is taken at {self.name}")
        return self._converse(request, receive, send)


class Finder(Protocol):
    """What knows routes by path."""

    def find(self, path: str) -> Route:
        """Return the route of a decoded path.

        Raises:
            Refusal: 404.
        """


class Routes:
    """All routes of a server's HTTP, by path."""

    def __init__(self) -> None:
        self._by_path: dict[str, Route] = {}
        self._models: dict[str, Callable[[], str]] = {}
        self._of_streams: dict[str, Route] = {}

    def add_streams(self, path: str, route: Route) -> None:
        """Add a route for all paths of which a part, without a slash, follows a decoded path."""
        self._of_streams[path] = route

    def add(self, path: str, route: Route) -> None:
        """Add a route under a decoded path."""
        self._by_path[path] = route

    def add_model(self, name: str, version: Callable[[], str]) -> None:
        """Say what version a model has, for paths that name one."""
        self._models[name] = version

    def find(self, path: str) -> Route:
        """Return the route of a decoded path.

        Raises:
            Refusal: 404.
        """
        found = self._by_path.get(path)
        if found is not None:
            return found
        streams, slash, _ = path.rpartition("/")
        if streams in self._of_streams:
            return self._of_streams[streams]
        head, mark, rest = path.partition("/versions/")
        version, slash, tail = rest.partition("/")
        name = head.removeprefix("/v2/models/")
        if mark and head != name and name in self._models:
            expected = self._models[name]()
            if version != expected:
                raise Refusal(
                    404,
                    "unknown_model",
                    f"expected version {expected} of model {name!r}, found {shown(version)}",
                )
            found = self._by_path.get(head + slash + tail)
            if found is not None:
                return found
        raise self._unknown(path)

    def _unknown(self, path: str) -> Refusal:
        of_models = path.startswith(("/v1/models/", "/v2/models/"))
        if not of_models or path.split("/")[3] in self._models:
            return Refusal(
                404, "unknown_path", f"no such path: {shown(path)}", fix="see /openapi.json"
            )
        known = [*map(repr, islice(self._models, _MOST_NAMED))]
        known += ["another"] if len(self._models) > _MOST_NAMED else []
        return Refusal(
            404,
            "unknown_model",
            f"expected a path of model {' or '.join(known)}, found {shown(path)}",
            fix="see /v1/models",
        )


def shown(path: str) -> str:
    """Return a path as it may stand in a log or an answer: quoted, and not too long."""
    text = quote(path.encode("utf-8", "replace"))
    return text if len(text) <= 100 else text[:97] + "..."
