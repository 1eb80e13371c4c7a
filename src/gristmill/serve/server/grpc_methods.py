"""The methods of the gRPC service: requests into messages, messages into responses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gristmill.serve.protocols import metadata
from gristmill.serve.protocols.grpc_inference import is_raw, read_message, write_message
from gristmill.serve.protocols.grpc_messages import Message, messages
from gristmill.serve.protocols.inference_response import wanted_outputs
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.grpc_request import GrpcRequest, path_of
from gristmill.serve.server.headers import DEADLINE, call_of
from gristmill.serve.server.model_handlers import heed, marks
from gristmill.serve.server.response import Header, Response
from gristmill.serve.server.routes import Handler, Route, shown

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Call
    from gristmill.serve.protocol import Limits
    from gristmill.serve.protocols.served import Served
    from gristmill.serve.server.app import App
    from gristmill.serve.server.request import Request

METHODS = {
    "ServerLive": "",
    "ServerReady": "",
    "ServerMetadata": "",
    "RepositoryIndex": "",
    "ModelReady": "name",
    "ModelMetadata": "name",
    "ModelConfig": "name",
    "ModelInfer": "model_name",
    "ModelStreamInfer": "model_name",
}
"""The methods, each with the field that names its model."""

_REQUESTS = {"ModelStreamInfer": "ModelInferRequest"}
_OPEN = ("ServerLive", "ServerReady")
_GRPC = b"application/grpc"
# Numbers of Triton's enumeration, in its order, as `protocols.metadata` names them.
_TYPES = (
    *("", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64"),
    *("TYPE_INT8", "TYPE_INT16", "TYPE_INT32", "TYPE_INT64"),
    *("TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_STRING"),
)


class GrpcMethods:
    """The routes of gRPC to an application's models.

    Args:
        app: whose models answer, and whose metrics count.
    """

    def __init__(self, app: App) -> None:
        self._models = app.models
        self._routes: dict[str, Route] = {}
        fixed: dict[str, Handler] = {
            "ServerLive": _live,
            "ServerReady": lambda request: _ready(request, app),
            "ServerMetadata": _metadata,
            "RepositoryIndex": lambda request: _index(request, app),
        }
        for method, handler in fixed.items():
            self._add(app, method, "", handler)
        for served in app.models.values():
            own = _ModelMethods(served)
            self._add(app, "ModelReady", served.name, own.ready)
            self._add(app, "ModelMetadata", served.name, own.metadata)
            self._add(app, "ModelConfig", served.name, own.config)
            self._add(app, "ModelInfer", served.name, own.infer)
            self._add(app, "ModelStreamInfer", served.name, own.infer)

    def request(
        self, method: str, sent: bytes, headers: Mapping[bytes, bytes], remaining: float | None
    ) -> GrpcRequest:
        """Return a call as a request.

        Args:
            method: one of `METHODS`.
            sent: its message.
            headers: its metadata by lower-case name.
            remaining: seconds until the caller gives up; None if it did not say.
        """
        from google.protobuf.message import DecodeError

        kind: Any = messages()[_REQUESTS.get(method, f"{method}Request")]
        try:
            message = kind.FromString(sent)
        except DecodeError:
            return GrpcRequest(method, "", dict(headers), None, remaining)
        field = METHODS[method]
        model = getattr(message, field) if field else ""
        return GrpcRequest(method, model, dict(headers), message, remaining)

    def find(self, path: str) -> Route:
        """Return the route of a path, as `path_of` makes it.

        Raises:
            Refusal: 404, there is no such model.
        """
        found = self._routes.get(path)
        if found is not None:
            return found
        name = path.split("/", 3)[3]
        known = [f"{model!r} (version {served.version})" for model, served in self._models.items()]
        expected = " or ".join(known[:5])
        raise Refusal(404, "unknown_model", f"expected model {expected}, found {shown(name)!r}")

    def _add(self, app: App, method: str, model: str, handler: Handler) -> None:
        name = path_of(method)
        counts = app.metrics.route(name, model)
        open_ = method in _OPEN
        self._routes[path_of(method, model)] = Route(
            name, {"POST": _checked(handler)}, counts, model, open=open_
        )
        if model:  # what a message without a name, or that cannot be read, comes to
            bare = Route(name, {"POST": _checked(_unnamed)}, app.metrics.route(name))
            self._routes[name] = bare


class _ModelMethods:
    """The methods of one model."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def ready(self, request: Request) -> Response:
        self._check_version(_message(request).version)
        return _response("ModelReadyResponse", ready=self._served.ready)

    async def metadata(self, request: Request) -> Response:
        self._check_version(_message(request).version)
        return _response("ModelMetadataResponse", **metadata.model_metadata(self._served))

    async def config(self, request: Request) -> Response:
        self._check_version(_message(request).version)
        config: dict[str, Any] = metadata.model_config(self._served)
        for tensor in (*config["input"], *config["output"]):
            tensor["data_type"] = _TYPES.index(tensor["data_type"])
        return _response("ModelConfigResponse", config=config)

    async def infer(self, request: Request) -> Response:
        served, limits, message = self._served, self._served.limits, _message(request)
        self._check_version(message.model_version)
        now = time.monotonic()
        call = call_of(request, request.name, now, limits.deadline, limits.max_deadline)
        asked, rows = read_message(served, message)
        wanted = wanted_outputs(served, asked)
        _heed_timeout(request, call, now, limits)
        heed(asked, call, limits)
        answered = await served.answer(rows, call)
        made = write_message(served, asked, answered, wanted, is_raw(message))
        return _written(made, marks(answered))

    def _check_version(self, version: str) -> None:
        served = self._served
        if version and version != served.version:
            raise Refusal(
                404,
                "unknown_model",
                f"expected model {served.name!r} (version {served.version}), "
                f"found version {shown(version)!r}",
            )


def _heed_timeout(request: Request, call: Call, now: float, limits: Limits) -> None:
    """Take the time that gRPC gives the call; a header may ask for less."""
    remaining = request.remaining if isinstance(request, GrpcRequest) else None
    if remaining is None:
        return
    until = now + min(remaining, limits.max_deadline)
    call.deadline = min(call.deadline, until) if DEADLINE in request.headers else until


def _checked(handler: Handler) -> Handler:
    """Return a handler that is only asked about messages which could be read."""

    async def checked(request: Request) -> Response:
        if _message(request) is None:
            raise Refusal(400, "malformed_message", "expected a message of protobuf")
        return await handler(request)

    return checked


async def _live(_: Request) -> Response:
    return _response("ServerLiveResponse", live=True)


async def _ready(_: Request, app: App) -> Response:
    return _response("ServerReadyResponse", ready=app.ready)


async def _metadata(_: Request) -> Response:
    return _response("ServerMetadataResponse", **metadata.server_metadata())


async def _index(request: Request, app: App) -> Response:
    only_ready = _message(request).ready
    index = metadata.repository_index(app.models.values(), only_ready)
    return _response("RepositoryIndexResponse", models=index)


async def _unnamed(_: Request) -> Response:
    raise Refusal(400, "unknown_model", "expected the name of a model, found none")


def _message(request: Request) -> Message:
    return request.message if isinstance(request, GrpcRequest) else None


def _response(kind: str, /, **fields: object) -> Response:
    return _written(messages()[kind](**fields))


def _written(message: Message, headers: list[Header] | None = None) -> Response:
    return Response(message.SerializeToString(), content_type=_GRPC, headers=headers or ())
