"""One server process: bundles opened and checked, a socket, uvicorn, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.online.in_process import ThreadReplica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.served import Served
from gristmill.serve.runners.threads import THREADS
from gristmill.serve.server.app import App
from gristmill.serve.server.composing import OpenedModel, composed
from gristmill.serve.server.grpc_beside import grpc_beside
from gristmill.serve.server.heap import frozen_heap
from gristmill.serve.server.listener import listen, url_of
from gristmill.serve.server.logs import set_up_logs
from gristmill.serve.server.opening import measure, open_model
from gristmill.serve.server.ready import Ready, ReadyModel, ReadyRoute
from gristmill.serve.server.serving_plan import plan_of
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.tls import certificate_trouble, check_certificate
from gristmill.serve.server.tokens import Tokens
from gristmill.serve.server.uvicorn_server import run_uvicorn
from gristmill.serve.watch.tracing import tracing_of

if TYPE_CHECKING:
    from gristmill.serve.runners.runner import Runner
    from gristmill.serve.server.opening import Sources
    from gristmill.serve.server.serving_plan import ServingPlan


log = logging.getLogger("gristmill.serve")


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
    named = dict(sources) if isinstance(sources, Mapping) else {"": sources}
    opened = (open_model(name, source, settings) for name, source in named.items())
    return App([Served(each.endpoint, settings.limits) for each in opened], tokens)


def app_from_runner(
    runner: Runner, *, limits: Limits | None = None, tokens: Tokens | None = None
) -> App:
    """Return the application that serves a runner, which runs in a thread of its own."""
    limits = limits or Limits()
    endpoint = ModelEndpoint(runner, [ThreadReplica(runner)], limits=limits)
    return App([Served(endpoint, limits)], tokens)


def serve(
    sources: Sources | ServingPlan,
    settings: Settings | None = None,
    *,
    announce: Callable[[Ready], None] | None = None,
    stop: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Serve models over HTTP until SIGINT (Ctrl-C) or SIGTERM, then return.

    At the signal no new connection is taken, requests under way are answered, and what is not done
    after `settings.drain_seconds` is dropped.

    Args:
        sources: a bundle or its folder; `registry:MODEL`, the version that is live in the registry
            of this project; or several of these by the name that they are served under. Or a
            serving file (`*.toml`), or a plan, which may have routes over models. The first route,
            or the first model without any, also answers `/v1/predict`.
        settings: where, how much, for whom.
        announce: told once the server takes requests; prints one line by default.
        stop: handed a function that ends the server, from any thread.

    Raises:
        BundleError: a bundle is damaged or was tampered with; nothing has listened then.
        ServeError: the host or port cannot be had, a model fails on a sample row, models of a
            route do not fit together, no version of a registered model is live, or another server
            uses the folder.
        StoreError: a feedback log or a registry cannot be read.
        UsageError: a mistake in the serving file; unknown log level or format; tokens or
            certificate that cannot be used.
    """
    settings = settings or Settings()
    plan = plan_of(sources)
    set_up_logs(settings.log_level, settings.log_format)
    file = settings.token_file
    tokens = None if file is None else Tokens.read(file)
    if settings.tls_certificate:
        _look_at_certificate(settings.tls_certificate, settings.tls_key)
    loop = _loop_factory()
    with THREADS.standing(settings.threads), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(plan, settings, tokens, announce or _print, stop))


async def _serve(
    plan: ServingPlan,
    settings: Settings,
    tokens: Tokens | None,
    announce: Callable[[Ready], None],
    stop: Callable[[Callable[[], None]], None],
) -> None:
    async with composed(plan, settings) as made:
        _check_streams(made.served, settings)
        models = [(each, await _measured(each)) for each in made.models]
        with listen(settings.host, settings.port) as sock, tracing_of(os.environ) as tracing:
            app = App(made.served, tokens, tracing)
            async with grpc_beside(app, settings) as grpc:
                ready = Ready(
                    url=url_of(sock, secure=bool(settings.tls_certificate)),
                    models=tuple(said for each, said in models if not each.hidden),
                    pid=os.getpid(),
                    routes=tuple(map(ReadyRoute.of, made.routes)),
                    grpc=grpc.address,
                )
                with frozen_heap():
                    told = partial(announce, ready)
                    await run_uvicorn(app, sock, settings, told, stop, grpc.drain)


async def _measured(model: OpenedModel) -> ReadyModel:
    try:
        capacity = await measure(model.opened.model, model.opened.sample, model.limits)
    except Exception as error:
        raise ServeError(
            f"model {model.served.name!r} fails on a sample record: {error}"
        ) from error
    return ReadyModel.of(model.served, capacity)


def _check_streams(models: Sequence[Served], settings: Settings) -> None:
    if settings.streams and all(served.streaming is None for served in models):
        raise UsageError(
            "expected a model of images to take streams for, found none",
            fix="leave --streams out, or serve a bundle whose only field is an image",
        )


def _look_at_certificate(certificate: str, key: str) -> None:
    check_certificate(certificate, key)
    trouble = certificate_trouble(certificate, key, time.time())
    if trouble:
        fields = {"certificate": certificate, "trouble": trouble}
        text = "certificate %s: %s; renew it, and start the server again"
        log.warning(text, certificate, trouble, extra={"fields": fields})


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ModuleNotFoundError:  # there is none for Windows
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _print(ready: Ready) -> None:
    print(ready, flush=True)
