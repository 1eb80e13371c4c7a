"""A client's connection: uvicorn's own, with limits on heads and idle time, and a short way.

Uvicorn bounds neither the size of a request's head nor the time it takes to arrive. Both are done
here: sizes as bytes come in, times by `sweep`, which a server calls every second or so for all
connections at once, so that no request pays for a timer. A request that offers to go on in another
protocol (Java's client and `curl --http2` offer h2c) is answered in this one, body and all, which
RFC 9110, section 7.8, allows and uvicorn's parser does not.

The short way: a POST to one of the application's `hot` paths that says its length is collected here
and answered in one write, past the scope, the events, the messages and the task of ASGI, which cost
as much as a small model. Everything else takes uvicorn's way to the same application.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.exchange import Exchange
from gristmill.serve.server.large_body import LARGE_BYTES, LargeBody
from gristmill.serve.server.repeated_head import RepeatedHead
from gristmill.serve.server.request import slow_body
from gristmill.serve.server.response import Response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from gristmill.serve.server.app import App

log = logging.getLogger("gristmill.serve")

IDLE_SECONDS = 30.0
"""How long a connection may be open between two requests."""
_UNREAD_SECONDS = 30.0
FAREWELL_SECONDS = 1.0
"""How long a client may take to end TLS; one that keeps its connection for later never does."""
_STREAMS = b"/v1/streams/"
_Mark: TypeAlias = "tuple[str, object]"


class _RefusedInTurn(Exception):  # noqa: N818 - ends the parser's work, and goes no further
    """The request is refused once those before it are answered."""


class Connection(HttpToolsProtocol):
    """One connection; uvicorn makes it."""

    cycle: Any
    """The last request that came: uvicorn's, or an `Exchange`; None before the first."""

    under_way: Any
    """The last one that went uvicorn's way and whose turn has come; others may wait behind it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.served: App = self.config.app  # type: ignore[assignment]
        self._limits = self.served.limits
        self.under_way = None
        self._in_head = False
        self._head_bytes = self._chunk = self._begun = 0
        self._last: RepeatedHead | None = None
        self._last_words: Refusal | None = None
        self._mark: _Mark = ("head", None)
        self._marked = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many already."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._refuse(
                Refusal(
                    503,
                    "too_many_connections",
                    f"{self._limits.max_connections} connections are open already",
                    headers=[("Retry-After", "1")],
                )
            )

    def data_received(self, data: bytes) -> None:
        """Take in bytes; what has come of a head that is not complete yet is counted."""
        if self._last is not None and self._repeats(self._last, data):
            return
        if self._last_words is not None:
            return
        cycle = self.cycle
        between = cycle is None or (type(cycle) is Exchange and cycle.started)
        alone, begun = between and not self._in_head, self._begun
        self._chunk = len(data)
        if self._in_head:
            self._head_bytes += len(data)
        self._feed(data)
        if self._in_head and self._head_bytes > self._limits.max_header_bytes:
            self._refuse_head(format_bytes(self._head_bytes))
        if alone and self._begun == begun + 1 and type(self.cycle) is Exchange:
            self._last = RepeatedHead.of(self.cycle, data)
            if not self.cycle.started:
                self._read_large(self.cycle, self.cycle.parts)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request under way; uvicorn tells the last one that came."""
        if self.under_way is not None:
            self.under_way.disconnected = True
            self.under_way.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request; uvicorn's scope is made only if it goes uvicorn's way."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._head_bytes = 0
        self._begun += 1
        self._last = None

    def on_headers_complete(self) -> None:
        """Decide which way the request goes."""
        self._in_head = False
        limits = self._limits
        long = self._head_bytes or self._chunk > limits.max_header_bytes
        if long or len(self.headers) > limits.max_headers:
            self._check_head()
            if self._last_words is not None:
                raise _RefusedInTurn
        if self.transport.is_closing():
            self.cycle = Exchange(self, "", {}, keep_alive=False)
            self.cycle.response_complete = True
            return
        self._check_host()
        if self._offers_upgrade():
            if self._begins_stream():
                self._go_uvicorns_way()  # no further than to its scope
            return
        path = self.served.hot.get(self.url)
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy and len(self.pipeline) >= limits.max_pipelined:
            self._refuse_in_turn(
                Refusal(
                    503,
                    "too_many_pipelined",
                    f"{limits.max_pipelined} requests of this connection wait already",
                    fix="read answers before asking more, or ask over several connections",
                    headers=[("Retry-After", "1")],
                )
            )
            raise _RefusedInTurn
        # A client that does not read its answers must not make us keep more and more of them.
        if path is not None and not (busy or self.expect_100_continue or self.flow.write_paused):
            headers = dict(self.headers)
            length = headers.get(b"content-length")
            fits = length is not None and len(length) < 12 and int(length) <= limits.max_body
            packed = b"content-encoding" in headers
            if fits and not packed and self.parser.get_method() == b"POST":
                # Of HTTP/1.0 the parser keeps open only what says so; the version costs 0.4 us.
                keep_alive = bool(self.parser.should_keep_alive()) and (
                    b"connection" not in headers or self.parser.get_http_version() != "1.0"
                )
                self.cycle = Exchange(self, path, headers, keep_alive=keep_alive)
                return
        self._go_uvicorns_way()

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        cycle = self.cycle
        if type(cycle) is Exchange:
            cycle.parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there as a whole."""
        if self._offers_upgrade():
            return
        cycle = self.cycle
        if type(cycle) is Exchange:
            if not cycle.response_complete:
                cycle.start()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; idle time is `sweep`'s, not a timer's."""
        self.server_state.total_requests += 1
        cycle = self.cycle
        if type(cycle) is not Exchange and cycle.response_complete and cycle.more_body:
            # Nobody reads the rest of this body; what may come after it cannot be told from it.
            self.transport.close()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._last_words is not None:
            self._refuse(self._last_words)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse_in_turn(Refusal(400, "malformed_http", msg))

    def begin_again(self, last: RepeatedHead) -> bool:
        """Begin a request with the head of the one before it, if that one's answer is written."""
        if (
            not self.cycle.response_complete
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        self.cycle = Exchange(self, last.path, last.headers, keep_alive=True)
        return True

    def take_body(self, body: memoryview) -> None:
        """Answer the request under way: all of its body is here, and may be written to."""
        self.cycle.parts = [body]
        self.cycle.start()

    def sweep(self, now: float) -> None:
        """Close the connection if it has been in one and the same state for too long.

        Args:
            now: on the loop's clock.
        """
        mark = self._state()
        if mark != self._mark:
            self._mark, self._marked = mark, now
            return
        waited = now - self._marked
        state = mark[0]
        if state == "head" and waited > self._limits.header_timeout:
            seconds = format_seconds(self._limits.header_timeout)
            self._refuse(
                Refusal(408, "slow_head", f"the request's head did not arrive within {seconds}")
            )
        elif state == "idle" and waited > IDLE_SECONDS:
            self.transport.close()
        elif state == "body" and waited > self._limits.body_timeout:
            self._refuse(slow_body(self._limits.body_timeout))
        elif waited > {"unread": _UNREAD_SECONDS, "closing": FAREWELL_SECONDS}.get(state, inf):
            self.transport.abort()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.under_way = cycle
        super()._start_asgi_task(cycle, app)

    def _read_large(self, exchange: Exchange, begun: Sequence[bytes | memoryview]) -> None:
        """Read the rest of a body past the parser, if there is much of it."""
        length, come = int(exchange.headers[b"content-length"]), sum(map(len, begun))
        if length - come < LARGE_BYTES or self.transport.is_closing():
            return
        # The one that waits for the body would wait for ever.
        self.parser = HttpRequestParser(self)
        with suppress(AttributeError):  # as uvicorn does; httptools before 0.6.3 has none of it
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._fill(begun, length)

    def _fill(self, begun: Sequence[bytes | memoryview], length: int) -> None:
        """Read a large body to where it will lie."""
        self.transport.set_protocol(LargeBody(self, begun, length, self._last))

    def _repeats(self, last: RepeatedHead, data: bytes) -> bool:
        """Take a request that is there as a whole, or has much to come, with the head of the one
        before it."""
        size = len(last.head)
        missing = size + last.length - len(data)
        if not (missing == 0 or missing >= LARGE_BYTES) or not data.startswith(last.head):
            return False
        if not self.begin_again(last):
            return False
        if missing:
            self._fill([memoryview(data)[size:]], last.length)
        else:
            self.cycle.parts.append(data[size:])
            self.cycle.start()
        return True

    def _feed(self, data: bytes) -> None:
        """Parse bytes; a request that offers an upgrade once more, without the offer."""
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                if self.transport.is_closing() or self.parser.get_method() == b"CONNECT":
                    return
                if self._begins_stream():
                    self.handle_websocket_upgrade()
                    return
                data = self._head_without_offer() + data[upgrade.args[0] :]
                # The old one takes nothing after a request with `Connection: close`.
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            except HttpParserError:
                if self._last_words is None:
                    self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _offers_upgrade(self) -> bool:
        """Say whether the parser, for an upgrade, takes what follows the head for no body."""
        parser = self.parser
        return bool(parser.should_upgrade()) and parser.get_method() != b"CONNECT"

    def _owes_answers(self) -> bool:
        """Say whether requests that are there as a whole wait for their answers."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        if type(cycle) is Exchange:
            return cycle.started
        if cycle.more_body and self.pipeline:
            self.pipeline.popleft()  # what is wrong is in its body: only those before it are whole
            return True
        return not cycle.more_body

    def _begins_stream(self) -> bool:
        """Say whether a client asks for a WebSocket where there are any; nobody waits before it."""
        asks = self.url.startswith(_STREAMS) and self.parser.get_method() == b"GET"
        free = self.cycle is None or self.cycle.response_complete
        return asks and free and self._should_upgrade()

    def _head_without_offer(self) -> bytes:
        parser = self.parser
        version = parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _state(self) -> _Mark:
        """Return what the connection waits for, and an object that is another one next time."""
        cycle = self.cycle
        if self.flow.write_paused:
            return "unread", cycle
        if self.transport.is_closing():
            unwritten = self.transport.get_write_buffer_size()
            return "unread" if unwritten else "closing", unwritten
        if cycle is None or cycle.response_complete:
            return "head" if self._in_head or cycle is None else "idle", cycle
        if type(cycle) is Exchange and not cycle.started:
            return "body", cycle
        return "busy", cycle

    def _check_host(self) -> None:
        """Refuse a request that names no host, or several (RFC 9112, section 3.2)."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts == 1 or (not hosts and self.parser.get_http_version() != "1.1"):
            return
        self._refuse_in_turn(
            Refusal(400, "malformed_http", f"expected one header Host, found {hosts or 'none'}")
        )
        raise _RefusedInTurn

    def _check_head(self) -> None:
        limits = self._limits
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.headers) > limits.max_headers:
            self._refuse_head(f"{len(self.headers)} headers")
        elif size > limits.max_header_bytes:
            self._refuse_head(format_bytes(size))

    def _refuse_head(self, found: str) -> None:
        limits = self._limits
        self._refuse_in_turn(
            Refusal(
                431,
                "head_too_large",
                f"expected a head of at most {format_bytes(limits.max_header_bytes)} in "
                f"{limits.max_headers} headers, found {found}",
            )
        )

    def _refuse_in_turn(self, refusal: Refusal) -> None:
        """Refuse behind the answers to the requests before it; what comes after is not read."""
        if self._owes_answers():
            self._last_words = refusal
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer outside of any request that is under way, and end the connection."""
        if self.transport.is_closing():
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers]
        headers = [pair for pair in headers if pair[0] != b"connection"]
        response = Response.json(refusal.body(), refusal.status, headers)
        self.transport.write(response.to_bytes(close=True))
        self.transport.close()
        self.served.metrics.route("other").done(refusal.status, 0.0)
        log.info("refused a connection: %d %s", refusal.status, refusal.message)

    def _go_uvicorns_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers = headers
        self.scope["headers"] = headers
        super().on_headers_complete()
