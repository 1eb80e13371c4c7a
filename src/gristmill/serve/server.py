"""One server process: a bundle opened and checked, a socket, uvicorn, and an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.app import App, app_from_runner
from gristmill.serve.listener import listen, url_of
from gristmill.serve.protocol import Limits
from gristmill.serve.runner import Runner
from gristmill.store.bundle import Bundle

log = logging.getLogger("gristmill.serve")

LOG_LEVELS = ("debug", "info", "warning", "error")
_KEEP_ALIVE_SECONDS = 30


class Ready(msgspec.Struct, frozen=True):
    """What a server says of itself once it takes requests."""

    url: str
    model: str
    fingerprint: str
    classes: tuple[str, ...]
    pid: int

    def __str__(self) -> str:
        what = f"{self.model} ({self.fingerprint[:8]}, {len(self.classes)} classes)"
        return f"serving {what} at {self.url}  (Ctrl-C stops)"


def app_from_bundle(
    bundle: Bundle | Path | str, *, threads: int = 1, limits: Limits | None = None
) -> App:
    """Open and check a bundle, run a sample through it, and return the application that serves it.

    Raises:
        BundleError: the bundle is damaged or was tampered with.
        ServeError: its model fails on a sample record.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    runner = Runner(opened, threads=threads)
    app = app_from_runner(runner, name=opened.name, fingerprint=opened.fingerprint, limits=limits)
    try:
        app.service.warm_up()
    except Exception as error:
        raise ServeError(
            f"the model fails on a sample record: {error}", where=str(opened.folder)
        ) from error
    return app


def serve(
    bundle: Bundle | Path | str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits | None = None,
    threads: int = 1,
    log_level: str = "warning",
    drain_seconds: float = 10.0,
    announce: Callable[[Ready], None] | None = None,
) -> None:
    """Serve a bundle over HTTP until SIGINT (Ctrl-C) or SIGTERM, then return.

    At the signal no new connection is taken, requests under way are answered, and what is not done
    after `drain_seconds` is dropped.

    Args:
        bundle: an open bundle, or its folder.
        host: where to listen; the default is reachable from this machine only.
        port: 0 takes a free one.
        limits: when to refuse requests.
        threads: threads of one operator of the model.
        log_level: one of debug, info (a line per request), warning, error; to stderr.
        drain_seconds: see above.
        announce: told once the server takes requests; prints one line by default.

    Raises:
        BundleError: the bundle is damaged or was tampered with; nothing has listened then.
        ServeError: the host or port cannot be had, or the model fails on a sample record.
        UsageError: unknown log level.
    """
    _set_up_log(log_level)
    app = app_from_bundle(bundle, threads=threads, limits=limits)
    sock = listen(host, port)
    model = app.service.model
    ready = Ready(url_of(sock), model.name, model.fingerprint, app.service.classes, os.getpid())
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    server = _Server(config, lambda: (announce or _print)(ready))
    with sock, _quiet_signals():
        server.run(sockets=[sock])


class _Server(uvicorn.Server):
    """Uvicorn's server, which also says when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()


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


def _set_up_log(level: str) -> None:
    if level not in LOG_LEVELS:
        raise UsageError(f"expected a log level of {', '.join(LOG_LEVELS)}, found {level!r}")
    log.setLevel(level.upper())
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.propagate = False


def _print(ready: Ready) -> None:
    print(ready, flush=True)
