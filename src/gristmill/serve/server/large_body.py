"""The rest of a large body, read to where it will lie: no chunks, no parser, no joining."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gristmill.serve.server.connection import Connection

LARGE_BYTES = 65_536
"""What still has to come for the change of protocols to be worth it."""


class LargeBody(asyncio.BufferedProtocol):
    """Takes a connection's place until the body is there as a whole.

    A picture of 600 kB is copied three times on the usual way: out of the socket, out of the
    parser, and joined; here once.

    Args:
        connection: whose place it takes; told of everything but the bytes.
        begun: what has come of the body.
        length: of the whole body.
        done: told the body, which may be written to.
    """

    def __init__(
        self,
        connection: Connection,
        begun: Sequence[bytes | memoryview],
        length: int,
        done: Callable[[bytearray], None],
    ) -> None:
        self._connection, self._done = connection, done
        self._body = bytearray(length)
        self._at = 0
        room = memoryview(
            self._body
        )  # which takes bytes as they are; a bytearray copies them first
        for part in begun:
            room[self._at : self._at + len(part)] = part
            self._at += len(part)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes belong; never beyond the body."""
        return memoryview(self._body)[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes that came."""
        self._at += nbytes
        if self._at == len(self._body):
            self._connection.transport.set_protocol(self._connection)
            self._done(self._body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._connection.resume_writing()
