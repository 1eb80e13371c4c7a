"""One request on the short way: its body collected, its answer written at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gristmill.serve.server.request import Disconnected, Request

if TYPE_CHECKING:
    from gristmill.serve.server.connection import Connection


class Exchange:
    """A request and its answer; has what uvicorn's protocol expects of a request under way.

    Args:
        connection: where it came from.
        path: decoded.
        headers: by lower-case name.

    Attributes:
        parts: the body as it came in.
        started: whether the body is complete.
        disconnected: whether the client left; uvicorn says so.
        response_complete: whether the answer has been written.
        keep_alive: whether the connection stays open after it.
    """

    __slots__ = (
        "_connection",
        "_headers",
        "_path",
        "_task",
        "disconnected",
        "keep_alive",
        "parts",
        "response_complete",
        "started",
    )

    def __init__(self, connection: Connection, path: str, headers: dict[bytes, bytes]) -> None:
        self._connection, self._path, self._headers = connection, path, headers
        self._task: asyncio.Task[None] | None = None
        self.parts: list[bytes] = []
        self.started = self.disconnected = self.response_complete = False
        parser = connection.parser
        self.keep_alive = bool(parser.should_keep_alive()) and parser.get_http_version() != "1.0"

    @property
    def message_event(self) -> Exchange:
        """Uvicorn sets this event when the client has left."""
        return self

    def set(self) -> None:
        """Stop: nobody waits for the answer."""
        if self._task is not None and not self.response_complete:
            self._task.cancel()

    def start(self) -> None:
        """Answer; the body is complete."""
        self.started = True
        parts = self.parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self.parts = []
        connection = self._connection
        self._task = task = connection.loop.create_task(self._run(body))
        # Uvicorn waits for these when it ends, and cancels them when it has waited long enough.
        connection.tasks.add(task)
        task.add_done_callback(connection.tasks.discard)

    async def _run(self, body: bytes) -> None:
        connection = self._connection
        request = Request("POST", self._path, self._headers, body)
        try:
            response = await connection.served.respond(request)
        except Disconnected:
            return
        if connection.flow.write_paused:
            await connection.flow.drain()
        if self.disconnected:
            return
        connection.transport.write(response.to_bytes(not self.keep_alive))
        self.response_complete = True
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()
