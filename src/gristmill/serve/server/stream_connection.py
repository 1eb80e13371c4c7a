"""A client's connection once it is a WebSocket: uvicorn's own, which ends in order.

Uvicorn's would wait for ever for a client that does not read, would break off a conversation when
the server stops, closes under a client that is still sending what is too long, which may then never
learn why, and logs what clients do wrong as if it were our mistake.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gristmill.serve.server.connection import FAREWELL_SECONDS

UNREAD_SECONDS = 30.0
"""How long a client may leave what is sent to it unread."""
_LINGER_SECONDS = 2.0
_NO_TEXT = 1007


class StreamConnection(WebSocketsSansIOProtocol):
    """One WebSocket; uvicorn makes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread_since: float | None = None
        self._closing_since: float | None = None

    def sweep(self, now: float) -> None:
        """Break the connection off if the client has not read, or has not ended TLS, for too long.

        Args:
            now: on the loop's clock.
        """
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            if self._closing_since is None:
                self._closing_since = now
            elif now - self._closing_since > FAREWELL_SECONDS:
                self.transport.abort()
        elif self.writable.is_set():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > UNREAD_SECONDS:
            self.transport.abort()

    def shutdown(self) -> None:
        """Leave the end to the application, which has been told that the server stops.

        A client that does not answer its last message is not waited for as long as at other times.
        """
        self.stop_keepalive()
        self.close_timeout = FAREWELL_SECONDS

    async def send(self, message: Any) -> None:
        """Send a message of ASGI."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # a refusal is an end to it, too

    def send_receive_event_to_app(self) -> None:
        """Hand on a message that is complete; what says it is text has to be."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(_NO_TEXT, "expected text in UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Say why no more is read, then let the client read that before the end."""
        closed = self.conn.close_sent
        if self.close_sent or closed is None:
            return
        self.close_sent = True
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()  # to which a client that has read it says its own
        self.close_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        if self.read_paused:  # what still comes is thrown away
            self.read_paused = False
            self.transport.resume_reading()
