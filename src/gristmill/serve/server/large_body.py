"""Large bodies, read to where they will lie: no chunks, no parser, no joining."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gristmill.serve.server.connection import Connection
    from gristmill.serve.server.repeated_head import RepeatedHead

LARGE_BYTES = 65_536
"""What still has to come for the change of protocols to be worth it."""
_ALIGNED_BYTES = 64
_NO_ROOM = memoryview(b"")


class LargeBody(asyncio.BufferedProtocol):
    """Takes a connection's place until the body is there as a whole.

    A picture of 600 kB is copied three times on the usual way: out of the socket, out of the
    parser, and joined; here once. Where the head is known, it stays for the next request: one with
    the same head lies there from its first byte, and any other is handed back.

    Args:
        connection: whose place it takes; told of everything but the bytes.
        begun: what has come of the body.
        length: of the whole body.
        again: the head that the next request may have; None: it is the connection's.
    """

    def __init__(
        self,
        connection: Connection,
        begun: Sequence[bytes | memoryview],
        length: int,
        again: RepeatedHead | None,
    ) -> None:
        self._connection, self._again = connection, again
        self._head = b"" if again is None else again.head
        self._begins = -len(self._head) % _ALIGNED_BYTES
        self._body = self._begins + len(self._head)
        self._end = self._body + length
        self._in_body = True
        self._at = self._body
        self._room = self._new_room()
        for part in begun:
            self._room[self._at : self._at + len(part)] = part
            self._at += len(part)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong: the rest of the body, and one more."""
        if not self._room:  # not sooner: a connection may be quiet for long
            self._room, self._at = self._new_room(), self._begins
        return self._room[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes that came."""
        room = self._room
        self._at += nbytes
        if not self._in_body and not self._begins_again(room[self._begins : self._at]):
            return
        if self._at >= self._end:
            connection, surplus = self._connection, bytes(room[self._end : self._at])
            self._room, self._in_body = _NO_ROOM, False
            if self._again is None or surplus:
                connection.transport.set_protocol(connection)
            connection.take_body(room[self._body : self._end])
            if surplus:
                connection.data_received(surplus)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._connection.resume_writing()

    def _begins_again(self, came: memoryview) -> bool:
        """Begin a request if it has the head of the one before; else hand back what came."""
        connection, again = self._connection, self._again
        same = again is not None and came[: len(self._head)] == self._head
        self._in_body = again is not None and same and connection.begin_again(again)
        if not self._in_body:
            self._room = _NO_ROOM
            connection.transport.set_protocol(connection)
            connection.data_received(bytes(came))
        return self._in_body

    def _new_room(self) -> memoryview:
        """Return room for a head and a body, which begins where vectors like to, and one byte.

        The loop reads once more where it could fill the room, for nothing, and would have a second
        room made while the model still reads the first: two do not fit into a processor's cache.
        """
        # Zeroes would be written for nothing, and touch all memory that a client only announces.
        return np.empty(self._end + 1, np.uint8).data
