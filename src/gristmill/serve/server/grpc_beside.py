"""Whether a server answers gRPC, too; without loading any of it where it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from gristmill.serve.server.app import App
    from gristmill.serve.server.settings import Settings


class Beside(NamedTuple):
    """What answers beside HTTP.

    Attributes:
        address: host and port; empty: nothing does.
        drain: takes no new calls and waits for those under way; None where nothing has to be done.
    """

    address: str = ""
    drain: Callable[[], Coroutine[Any, Any, None]] | None = None


@asynccontextmanager
async def grpc_beside(app: App, settings: Settings) -> AsyncIterator[Beside]:
    """Answer gRPC during the block, if the settings name a port for it.

    Raises:
        ServeError: the host or port cannot be had.
        ModuleNotFoundError: gRPC is not installed.
    """
    if settings.grpc_port is None:
        yield Beside()
        return
    from gristmill.serve.server.grpc_server import GrpcServer

    server = GrpcServer(app, settings)
    await server.start()
    try:
        yield Beside(server.address, lambda: server.stop(settings.drain_seconds))
    finally:
        await server.stop(0)
