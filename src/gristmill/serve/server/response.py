"""A whole response: status, headers, body; as messages of ASGI or as bytes of HTTP/1.1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import TypeAlias

import orjson

from gristmill.serve.server.request import Message

Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

JSON = b"application/json"


class Response:
    """A response that is known as a whole.

    Args:
        body: its bytes.
        status: HTTP status.
        content_type: what the body is.
        headers: others; names in lower case.
    """

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        content_type: bytes = JSON,
        headers: Sequence[Header] = (),
    ) -> None:
        self.body, self.status = body, status
        self.content_type, self.headers = content_type, list(headers)

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Sequence[Header] = ()) -> Response:
        """Return a response with `value` as JSON."""
        return cls(orjson.dumps(value), status, headers=headers)

    async def send(self, send: Send) -> None:
        """Send it as the two messages of ASGI."""
        await self._send(send, "http.response")

    async def refuse_websocket(self, send: Send) -> None:
        """Send it in the place of a WebSocket's acceptance, as ASGI's extension for that says."""
        await self._send(send, "websocket.http.response")

    async def _send(self, send: Send, kind: str) -> None:
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            (b"x-content-type-options", b"nosniff"),
            *self.headers,
        ]
        await send({"type": f"{kind}.start", "status": self.status, "headers": headers})
        await send({"type": f"{kind}.body", "body": self.body})

    def to_bytes(self, close: bool) -> bytes:
        """Return it as HTTP/1.1 sends it; `close` says that the connection ends with it."""
        parts = [_head(self.status, self.content_type), b"%d" % len(self.body)]
        for name, value in self.headers:
            parts += (b"\r\n", name, b": ", value)
        parts += (b"\r\nconnection: close\r\n\r\n" if close else b"\r\n\r\n", self.body)
        return b"".join(parts)


@lru_cache(maxsize=64)
def _head(status: int, content_type: bytes) -> bytes:
    """Return status line and headers up to the length's value."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: {content_type.decode()}\r\n"
        "x-content-type-options: nosniff\r\n"
        "content-length: "
    ).encode()
