"""Uvicorn, run with our connections, on our socket, to an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from gristmill.serve.server.connection import Connection

if TYPE_CHECKING:
    from gristmill.serve.server.app import App
    from gristmill.serve.server.settings import Settings
    from gristmill.serve.server.stream_connection import StreamConnection

_MOST_SWEEP_SECONDS = 1.0
_LOOK_SECONDS = 0.1


async def run_uvicorn(
    app: App,
    sock: socket.socket,
    settings: Settings,
    started: Callable[[], None],
    stop: Callable[[Callable[[], None]], None] = lambda _: None,
    drain: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Serve an application on a listening socket until SIGINT or SIGTERM.

    Args:
        app: what answers.
        sock: where; left open.
        settings: the certificate, and how long requests under way may take at the end.
        started: called once requests are taken.
        stop: handed a function that ends the server, from any thread.
        drain: ends what else takes requests for the application; runs while HTTP ends.

    Raises:
        Exception: what `started` raised; the server has ended then.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        ws=_websocket() if app.streams else "none",
        ws_max_size=app.limits.max_body,
        ws_per_message_deflate=False,
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    server = _Server(config, app, started, drain or _nothing)
    stop(lambda: setattr(server, "should_exit", True))
    with _quiet_signals():
        await server.serve(sockets=[sock])
    if server.trouble is not None:
        raise server.trouble


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it has started and looks after its connections.

    Attributes:
        trouble: why it could not say so, and has ended.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: App,
        started: Callable[[], None],
        drain: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(config)
        self._app, self._say_started, self._drain = app, started, drain
        self.trouble: Exception | None = None
        limits = app.limits
        shortest = min(limits.header_timeout, limits.body_timeout)
        self._period = min(shortest / 4, _MOST_SWEEP_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._sweep(asyncio.get_running_loop())
            try:
                self._say_started()
            except Exception as error:
                # Raised here, uvicorn would log a traceback of its own and close nothing.
                self.trouble, self.should_exit = error, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        draining = asyncio.create_task(self._drain())
        await super().shutdown(sockets)
        while not self.force_exit and not draining.done():
            await asyncio.wait([draining], timeout=_LOOK_SECONDS)
        draining.cancel()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self.server_state.connections):
            cast("Connection | StreamConnection", connection).sweep(now)
        loop.call_later(self._period, self._sweep, loop)


def _websocket() -> type[asyncio.Protocol]:
    """Return what speaks WebSocket; nobody else loads it."""
    from gristmill.serve.server.stream_connection import StreamConnection

    return StreamConnection


async def _nothing() -> None:
    """There is nothing else."""


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Let a drained server end as a success.

    After its shutdown uvicorn raises the signal again, for whatever handled it before; within the
    block that is nobody.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
