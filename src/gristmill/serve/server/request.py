"""One HTTP request: method, path, headers, and a body that is read with limits.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.content_coding import coding_of, unpacked

if TYPE_CHECKING:
    from gristmill.serve.server.routes import Route
    from gristmill.serve.watch.tracing import Trace

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

_DRAINED_BYTES = 16_000_000
_DRAIN_SECONDS = 2.0


class Disconnected(Exception):  # noqa: N818 - an event, not an error
    """The client went away before its request was complete."""


class Request:
    """What a client asked.

    Attributes:
        method: in capitals.
        path: decoded, without the query.
        query: as it came, without the question mark.
        headers: by lower-case name; of several with one name the last.
        name: its id, known once the application has looked.
        route: the way it takes, known once the application has found it.
        trace: its span, where spans are made.
    """

    __slots__ = (
        "_body",
        "_ended",
        "_receive",
        "headers",
        "method",
        "name",
        "path",
        "query",
        "route",
        "trace",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: dict[bytes, bytes],
        body: bytes | None = None,
        receive: Receive | None = None,
        query: bytes = b"",
    ) -> None:
        self.method, self.path, self.headers, self.query = method, path, headers, query
        self._body, self._receive = body, receive
        self._ended = body is not None
        self.name = ""
        self.route: Route | None = None
        self.trace: Trace | None = None

    @classmethod
    def of_scope(cls, scope: Scope, receive: Receive) -> Request:
        """Return the request of an ASGI connection scope; its body is still to be received."""
        headers, query = dict(scope["headers"]), scope.get("query_string", b"")
        return cls(scope["method"], scope["path"], headers, receive=receive, query=query)

    def refused(self, refusal: Refusal) -> dict[str, object]:
        """Return the body of a refusal, as this request's protocol says it."""
        return {"error": refusal.text()} if self.path.startswith("/v2") else refusal.body()

    def text(self, name: bytes) -> str | None:
        """Return a header's value."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit: int, seconds: float) -> bytes:
        """Return the body; one that came compressed as it was before.

        Raises:
            Refusal: 413 if it is, or says it is, or unpacked becomes longer than `limit` bytes;
                408 if it takes longer than `seconds` to arrive; 415 if it is compressed in a way
                that is not known, 400 if that is damaged.
            Disconnected: the client left.
        """
        if b"content-encoding" in self.headers:
            return await self._unpacked(limit, seconds)
        if self._body is None:
            self._check_length(limit)
            try:
                async with asyncio.timeout(seconds):
                    self._body = await self._read(limit)
            except TimeoutError:
                raise slow_body(seconds) from None
        return self._body

    async def drain(self) -> None:
        """Read what is left of a refused body, up to 16 MB and for two seconds, and forget it.

        A connection that is closed under a client which still sends may lose the answer on its way
        (RFC 9112, section 9.6).
        """
        if b"expect" in self.headers:  # the client sends its body only when told to: it need not
            return
        left = _DRAINED_BYTES
        with suppress(TimeoutError, Disconnected):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left > 0 and not self._ended:
                    left -= len(await self._part())

    async def _unpacked(self, limit: int, seconds: float) -> bytes:
        coding = coding_of(self.headers[b"content-encoding"])
        del self.headers[b"content-encoding"]  # what is kept is the body without it
        body = await self.body(limit, seconds)
        if coding:
            made = await unpacked(body, coding, limit)
            if made is None:
                raise too_long(f"more in {format_bytes(len(body))} of {coding}", limit)
            self._body = body = made
        return body

    def _check_length(self, limit: int) -> None:
        length = self.text(b"content-length")
        if length is None:
            return
        if not (length.isascii() and length.isdigit() and len(length) < 20):
            raise Refusal(400, "bad_length", f"expected a number of bytes, found {length[:40]!r}")
        if int(length) > limit:
            raise too_long(format_bytes(int(length)), limit)

    async def _read(self, limit: int) -> bytes:
        parts, size = [], 0
        while not self._ended:
            part = await self._part()
            size += len(part)
            if size > limit:
                raise too_long("more", limit)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _part(self) -> bytes:
        if self._receive is None:
            raise Disconnected
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        self._ended = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


def too_long(size: str, limit: int) -> Refusal:
    """Return the refusal of a body above the limit."""
    return Refusal(
        413,
        "body_too_large",
        f"expected a body of at most {format_bytes(limit)}, found {size}",
        fix="send fewer records a request, or start the server with a larger --max-body",
    )


def slow_body(seconds: float) -> Refusal:
    """Return the refusal of a body that took too long."""
    return Refusal(
        408,
        "slow_body",
        f"the body did not arrive within {format_seconds(seconds)}",
        headers=[("Connection", "close")],
    )
