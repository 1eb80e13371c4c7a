"""gRPC beside HTTP: the same application, in the same event loop, on a port of its own.

A call passes the application as a request of HTTP does: token, limits, metrics, log and refusals
are the same; a refusal's status becomes gRPC's code, its text the details.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias
from urllib.parse import urlsplit

from gristmill.core.errors import ServeError
from gristmill.core.quantities import format_seconds
from gristmill.serve.protocols.grpc_messages import SERVICE, messages
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.grpc_methods import METHODS, GrpcMethods
from gristmill.serve.server.grpc_request import GrpcRequest, code_of
from gristmill.serve.server.headers import REQUEST_ID
from gristmill.serve.server.listener import listen, url_of
from gristmill.serve.server.quiet import Quiet
from gristmill.serve.server.request import slow_body

if TYPE_CHECKING:
    from gristmill.serve.protocol import Limits
    from gristmill.serve.server.app import App
    from gristmill.serve.server.settings import Settings

_Answers: TypeAlias = "asyncio.Queue[asyncio.Task[bytes] | Refusal | None]"
"""What a stream is to say, in order; None: no more."""

_STREAM = "ModelStreamInfer"
_STREAM_WINDOW = 64
"""Requests of one stream that are answered at a time."""
_CONNECTION_CALLS = 256
"""Calls of one connection at a time, so that no client takes the places of all the others."""
UNREAD_SECONDS = 30.0
"""How long a client may leave an answer on a stream unread."""
_KEEPALIVE_MS = 30_000
"""How long a connection with calls is silent before it is asked whether it is there, and then."""
_MOST_DETAIL_BYTES = 2000
_IDLE_MS = 600_000
_BODY_SLACK = 4096
"""Bytes of a message beside its tensors."""


class GrpcServer:
    """The gRPC side of a server.

    Args:
        app: what answers.
        settings: where to listen, how much, with which certificate.

    Attributes:
        address: where it listens, as `127.0.0.1:8001`; known once it has started.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        import grpc

        self._app, self._settings, self._methods = app, settings, GrpcMethods(app)
        self._codes = {code.value[0]: code for code in grpc.StatusCode}
        self._streams: set[_Answers] = set()
        self._server = grpc.aio.server(
            options=_options(app.limits), maximum_concurrent_rpcs=app.limits.max_connections
        )
        # On the wire a stream of one message is no other than one message, but a stream lets us
        # wait for it, and stop waiting.
        handlers = {
            method: grpc.stream_unary_rpc_method_handler(self._unary(method))
            for method in METHODS
            if method != _STREAM
        }
        handlers[_STREAM] = grpc.stream_stream_rpc_method_handler(self._stream)
        service = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((service,))
        self.address = ""

    async def start(self) -> None:
        """Take calls.

        Raises:
            ServeError: the host or port cannot be had.
        """
        settings = self._settings
        # Asked for once before: gRPC's own errors do not say what is wrong.
        with listen(settings.host, settings.grpc_port or 0, "--grpc-port") as probe:
            port = probe.getsockname()[1]
            self.address = urlsplit(url_of(probe)).netloc
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self._bind(f"{host}:{port}")
            await self._server.start()
        except RuntimeError as error:
            raise ServeError(f"cannot listen for gRPC on {host}:{port}: {error}") from error

    async def stop(self, seconds: float) -> None:
        """Take no new calls, answer those under way, and end; after `seconds` in any case."""
        for answers in self._streams:
            answers.put_nowait(None)
        await self._server.stop(seconds)

    def _bind(self, target: str) -> None:
        import grpc

        settings = self._settings
        if not settings.tls_certificate:
            self._server.add_insecure_port(target)
            return
        pair = [Path(file).read_bytes() for file in (settings.tls_key, settings.tls_certificate)]
        self._server.add_secure_port(target, grpc.ssl_server_credentials([tuple(pair)]))

    def _unary(self, method: str) -> Callable[[AsyncIterator[bytes], Any], Any]:
        async def call(sent: AsyncIterator[bytes], context: Any) -> bytes:
            request = self._request(method, await self._message(sent, context), context)
            response = await self._app.respond(request, self._methods)
            # What stands in the headers of HTTP's answers.
            trailing = tuple(
                (name.decode(), value.decode("latin-1")) for name, value in response.headers
            )
            if request.refusal is not None:
                await self._abort(context, request.refusal, trailing)
            context.set_trailing_metadata(trailing)
            return response.body

        return call

    async def _message(self, sent: AsyncIterator[bytes], context: Any) -> bytes:
        seconds = self._app.limits.body_timeout
        try:
            async with asyncio.timeout(seconds):
                return await anext(sent)
        except StopAsyncIteration:
            refusal = Refusal(400, "malformed_message", "expected a message, found none")
        except TimeoutError:
            refusal = slow_body(seconds)
        return await self._refuse(context, refusal)

    async def _refuse(self, context: Any, refusal: Refusal) -> NoReturn:
        """End a call outside of any request."""
        self._app.metrics.route("other").done(refusal.status, 0.0)
        await self._abort(context, refusal, ())
        raise refusal  # not reached: the call has been aborted

    async def _abort(
        self, context: Any, refusal: Refusal, trailing: tuple[tuple[str, str], ...]
    ) -> None:
        said = (*trailing, ("x-gristmill-code", refusal.code))
        await context.abort(self._codes[code_of(refusal.status)], _detail(refusal.text()), said)

    async def _stream(self, sent: AsyncIterator[bytes], context: Any) -> None:
        """Answer requests as they come, many at a time, in their order."""
        refusal = await self._answer_all(sent, context)
        # Not sooner: a client that does not read leaves us waiting here, with nothing kept.
        if refusal is not None:
            await self._refuse(context, refusal)

    async def _answer_all(self, sent: AsyncIterator[bytes], context: Any) -> Refusal | None:
        """Answer a stream's requests; return why it ends before its client says so, if it does."""
        answers: _Answers = asyncio.Queue()
        slots = asyncio.Semaphore(_STREAM_WINDOW)
        tasks: set[asyncio.Task[bytes]] = set()
        quiet = Quiet(self._app.limits, answers.put_nowait)

        async def ask() -> None:
            try:
                async for message in sent:
                    quiet.came()
                    await slots.acquire()
                    task = asyncio.create_task(self._streamed(message, context))
                    tasks.add(task)
                    answers.put_nowait(task)
            finally:
                answers.put_nowait(None)

        asking = asyncio.create_task(ask())
        self._streams.add(answers)
        try:
            while (task := await answers.get()) is not None:
                if isinstance(task, Refusal):
                    return task
                answer = await task
                try:
                    async with asyncio.timeout(UNREAD_SECONDS):
                        await context.write(answer)
                except TimeoutError:
                    return _unread()
                tasks.discard(task)
                quiet.answered()
                slots.release()
            return None
        finally:
            quiet.close()
            self._streams.discard(answers)
            for left in (asking, *tasks):
                left.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([asking, *tasks])

    async def _streamed(self, sent: bytes, context: Any) -> bytes:
        request = self._request(_STREAM, sent, context)
        # One for the whole stream would name all its requests; each says its own in the message.
        request.headers.pop(REQUEST_ID, None)
        response = await self._app.respond(request, self._methods)
        made = messages()["ModelStreamInferResponse"]()
        if request.refusal is None:
            made.infer_response.MergeFromString(response.body)
        else:
            made.error_message = request.refusal.text()
            if request.message is not None:
                made.infer_response.model_name = request.message.model_name
                made.infer_response.id = request.message.id
        encoded: bytes = made.SerializeToString()
        return encoded

    def _request(self, method: str, sent: bytes, context: Any) -> GrpcRequest:
        headers = {
            name.encode(): value if isinstance(value, bytes) else value.encode("latin-1")
            for name, value in context.invocation_metadata()
        }
        return self._methods.request(method, sent, headers, context.time_remaining())


def _unread() -> Refusal:
    return Refusal(
        408,
        "unread_stream",
        f"an answer on the stream was not read within {format_seconds(UNREAD_SECONDS)}",
        fix="read the answers while sending requests",
    )


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_body + _BODY_SLACK),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        ("grpc.server_handshake_timeout_ms", round(limits.header_timeout * 1000)),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.max_concurrent_streams", min(_CONNECTION_CALLS, limits.max_connections)),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
        ("grpc.so_reuseport", 0),  # with it, two servers would share a port unknowingly
    ]


def _detail(text: str) -> str:
    """Return a text no longer than clients take in metadata."""
    return text.encode()[:_MOST_DETAIL_BYTES].decode(errors="ignore")
