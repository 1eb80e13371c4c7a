"""One server process: bundles opened and checked, a socket, uvicorn, and an orderly end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import ServeError
from gristmill.serve.online.in_process import ThreadReplica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.served import Served
from gristmill.serve.server.app import App
from gristmill.serve.server.listener import listen, url_of
from gristmill.serve.server.logs import set_up_logs
from gristmill.serve.server.opening import (
    Source,
    Sources,
    measure,
    named_sources,
    open_model,
    open_processes,
)
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.tls import check_certificate
from gristmill.serve.server.tokens import Tokens
from gristmill.serve.server.uvicorn_server import run_uvicorn

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.runners.runner import Runner


class ReadyModel(msgspec.Struct, frozen=True):
    """What a server says of one of its models.

    Attributes:
        name: what requests call it.
        fingerprint: of its bundle.
        classes: class names; empty where it is no classifier.
        rows_per_second: in full batches, as measured while it was warmed up.
        p50_ms: milliseconds of one row alone, the median.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    rows_per_second: float
    p50_ms: float

    def __str__(self) -> str:
        said = [self.fingerprint[:8]]
        if self.classes:
            said.append(f"{len(self.classes)} classes")
        said += [f"{_rounded(self.rows_per_second)} rows/s", f"p50 {self.p50_ms:.2g} ms"]
        return f"{self.name} ({', '.join(said)})"


class Ready(msgspec.Struct, frozen=True):
    """What a server says of itself once it takes requests."""

    url: str
    models: tuple[ReadyModel, ...]
    pid: int

    def __str__(self) -> str:
        return f"serving {', '.join(map(str, self.models))} at {self.url}  (Ctrl-C stops)"


def app_from_bundle(
    sources: Sources,
    *,
    threads: int = 1,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
) -> App:
    """Open and check bundles, run a sample through each; return the application that serves them.

    Args:
        sources: a bundle or its folder, or several by the name that they are served under.
        threads: threads of one operator of a model.
        limits: when to refuse requests.
        tokens: who may ask; everyone by default.

    Raises:
        BundleError: a bundle is damaged or was tampered with.
        ServeError: a model fails on a sample row.
    """
    settings = Settings(threads=threads, limits=limits or Limits())
    named = named_sources(sources).items()
    return App([open_model(name, source, settings)[0] for name, source in named], tokens)


def app_from_runner(
    runner: Runner, *, limits: Limits | None = None, tokens: Tokens | None = None
) -> App:
    """Return the application that serves a runner, which runs in a thread of its own."""
    limits = limits or Limits()
    endpoint = ModelEndpoint(runner, [ThreadReplica(runner)], limits=limits)
    return App([Served(endpoint, limits)], tokens)


def serve(
    sources: Sources,
    settings: Settings | None = None,
    *,
    announce: Callable[[Ready], None] | None = None,
    stop: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Serve bundles over HTTP until SIGINT (Ctrl-C) or SIGTERM, then return.

    At the signal no new connection is taken, requests under way are answered, and what is not done
    after `settings.drain_seconds` is dropped.

    Args:
        sources: a bundle or its folder, or several by the name that they are served under; the
            first also answers `/v1/predict`.
        settings: where, how much, for whom.
        announce: told once the server takes requests; prints one line by default.
        stop: handed a function that ends the server, from any thread.

    Raises:
        BundleError: a bundle is damaged or was tampered with; nothing has listened then.
        ServeError: the host or port cannot be had, or a model fails on a sample row.
        UsageError: unknown log level or format; tokens or certificate that cannot be used.
    """
    settings = settings or Settings()
    set_up_logs(settings.log_level, settings.log_format)
    file = settings.token_file
    tokens = None if file is None else Tokens.read(file)
    if settings.tls_certificate:
        check_certificate(settings.tls_certificate, settings.tls_key)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(named_sources(sources), settings, tokens, announce or _print, stop))


async def _serve(
    sources: dict[str, Source],
    settings: Settings,
    tokens: Tokens | None,
    announce: Callable[[Ready], None],
    stop: Callable[[Callable[[], None]], None],
) -> None:
    opened: list[Served] = []
    try:
        models = []
        for name, source in sources.items():
            served, sample = await _open(name, source, settings)
            opened.append(served)
            models.append(await _measured(served, sample))
        app = App(opened, tokens)
        with listen(settings.host, settings.port) as sock:
            url = url_of(sock, secure=bool(settings.tls_certificate))
            ready = Ready(url, tuple(models), os.getpid())
            await run_uvicorn(app, sock, settings, lambda: announce(ready), stop)
    finally:
        for served in opened:
            await served.endpoint.close()


async def _open(name: str, source: Source, settings: Settings) -> tuple[Served, Rows]:
    if settings.replicas:
        return await open_processes(name, source, settings)
    return open_model(name, source, settings)


async def _measured(served: Served, sample: Rows) -> ReadyModel:
    try:
        capacity = await measure(served, sample)
    except Exception as error:
        raise ServeError(f"model {served.name!r} fails on a sample record: {error}") from error
    return ReadyModel(
        served.name,
        served.version,
        served.classes,
        capacity.rows_per_second,
        round(capacity.seconds * 1000, 4),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ModuleNotFoundError:  # there is none for Windows
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _rounded(number: float) -> str:
    """Return a number with two digits that count, thousands apart."""
    if number < 10:
        return f"{number:.2g}"
    return f"{round(number, 2 - len(str(int(number)))):,.0f}"


def _print(ready: Ready) -> None:
    print(ready, flush=True)
