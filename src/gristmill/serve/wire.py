"""Requests read from ASGI messages, and responses sent as such.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import orjson

from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.serve.refusal import Refusal

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

JSON = "application/json"
_DRAINED_BYTES = 16_000_000
_DRAIN_SECONDS = 2.0


class Disconnected(Exception):  # noqa: N818 - an event, not an error
    """The client went away before its request was complete."""


class Request:
    """One HTTP request: method, decoded path, headers, and a body that is read with limits."""

    __slots__ = ("_ended", "_receive", "headers", "method", "path")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._ended = False

    def header(self, name: bytes) -> str | None:
        """Return the first header of this lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    async def body(self, limit: int, seconds: float) -> bytes:
        """Return the body.

        Raises:
            Refusal: 413 if it is, or says it is, longer than `limit` bytes; 408 if it takes
                longer than `seconds` to arrive.
            Disconnected: the client left.
        """
        self._check_length(limit)
        try:
            async with asyncio.timeout(seconds):
                return await self._read(limit)
        except TimeoutError:
            raise Refusal(
                408,
                "slow_body",
                f"the body did not arrive within {format_seconds(seconds)}",
                headers=[("Connection", "close")],
            ) from None

    async def drain(self) -> None:
        """Read what is left of a refused body, up to 16 MB and for two seconds, and forget it.

        A connection that is closed under a client which still sends may lose the answer on its way
        (RFC 9112, section 9.6).
        """
        if self.header(b"expect"):  # the client sends its body only when told to: it need not
            return
        left = _DRAINED_BYTES
        with suppress(TimeoutError, Disconnected):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0 and not self._ended:
                    left -= len(await self._part())

    async def json(self, limit: int, seconds: float) -> object:
        """Return the body parsed as JSON.

        Raises:
            Refusal: 415 for another content type, 400 for malformed JSON, or as `body` does.
            Disconnected: the client left.
        """
        self._check_content_type()
        body = await self.body(limit, seconds)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Refusal(
                400,
                "malformed_json",
                f"malformed JSON at line {error.lineno}, column {error.colno} "
                f"(character {error.pos}): {error.msg}",
            ) from None

    def _check_length(self, limit: int) -> None:
        length = self.header(b"content-length")
        if length is None:
            return
        if not (length.isascii() and length.isdigit()):
            raise Refusal(400, "bad_length", f"expected a number of bytes, found {length!r}")
        if int(length) > limit:
            raise _too_long(format_bytes(int(length)), limit)

    def _check_content_type(self) -> None:
        """Let JSON in UTF-8 through, and requests that do not say what they carry."""
        said = self.header(b"content-type")
        kind, _, parameters = (said or JSON).partition(";")
        charset = parameters.strip().lower().replace('"', "")
        if kind.strip().lower() != JSON or charset not in ("", "charset=utf-8"):
            raise Refusal(
                415,
                "wrong_content_type",
                f"expected content type {JSON}, found {said}",
                fix=f"send the header Content-Type: {JSON}",
            )
        coding = self.header(b"content-encoding")
        if coding and coding.lower() != "identity":
            raise Refusal(
                415, "wrong_content_encoding", f"expected a body as it is, found {coding}"
            )

    async def _read(self, limit: int) -> bytes:
        parts, size = [], 0
        while not self._ended:
            part = await self._part()
            size += len(part)
            if size > limit:
                raise _too_long("more", limit)
            parts.append(part)
        return b"".join(parts)

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        self._ended = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


class Response:
    """A whole response: status, body, content type and extra headers."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        content_type: str = JSON,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.body, self.status = body, status
        self.content_type, self.headers = content_type, headers

    @classmethod
    def json(
        cls, value: object, status: int = 200, headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """Return a response with `value` as JSON."""
        return cls(orjson.dumps(value), status, headers=headers)

    async def send(self, send: Send) -> None:
        """Send it as the two messages of ASGI."""
        headers = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            *((name.lower().encode(), value.encode()) for name, value in self.headers),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def _too_long(size: str, limit: int) -> Refusal:
    return Refusal(
        413,
        "body_too_large",
        f"expected a body of at most {format_bytes(limit)}, found {size}",
        fix="send fewer records a request, or start the server with a larger --max-body",
    )
