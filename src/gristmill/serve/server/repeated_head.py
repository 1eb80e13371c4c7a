"""The head of a request that the next one on its connection is likely to have again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gristmill.serve.server.exchange import Exchange

_MOST_BYTES = 2048


class RepeatedHead(NamedTuple):
    """The head of a request that came at once, and what the parser made of it.

    A client that keeps its connection mostly sends the same head again, byte for byte; to ask
    the parser what it says would take 7 us, as long as all that is done with the body.

    Attributes:
        head: its bytes, with the empty line.
        path: decoded.
        headers: by lower-case name.
        length: of the body, in bytes.
    """

    head: bytes
    path: str
    headers: dict[bytes, bytes]
    length: int

    @classmethod
    def of(cls, exchange: Exchange, data: bytes) -> RepeatedHead | None:
        """Return the head of a request if it, of its body all or the beginning, and nothing else
        are these bytes."""
        if not exchange.keep_alive:
            return None
        length = int(exchange.headers[b"content-length"])
        come = length if exchange.started else sum(map(len, exchange.parts))
        head = data[: len(data) - come]
        if len(head) > _MOST_BYTES or head.find(b"\r\n\r\n") != len(head) - 4:
            return None
        return cls(head, exchange.path, exchange.headers, length)
