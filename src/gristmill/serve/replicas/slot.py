"""The place of one batch under way: two arenas, for what is asked and for what is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gristmill.serve.replicas.arena import Arena
from gristmill.serve.replicas.channel import BODY_BYTES, Message
from gristmill.serve.replicas.codec import Memory


class Slot:
    """One side's view of it: what this side writes, and what the other one writes.

    Args:
        outgoing: the arena this side writes to.
        incoming: the one it reads.
    """

    def __init__(self, outgoing: Arena, incoming: Arena) -> None:
        self.outgoing, self.incoming = outgoing, incoming

    def put(self, nbytes: int, write: Callable[[Memory], None]) -> memoryview:
        """Have something written where it is to travel; return the body of its message.

        What is short travels in the message itself, what is long in the arena.
        """
        if nbytes > BODY_BYTES:
            write(self.outgoing.room(nbytes))
            return memoryview(b"")
        body = np.empty(nbytes, np.uint8)
        write(body)
        return body.data

    def put_bytes(self, data: bytes) -> memoryview:
        """`put` what is there as bytes already."""
        if len(data) <= BODY_BYTES:
            return memoryview(data)
        self.outgoing.room(len(data))[:] = np.frombuffer(data, np.uint8)
        return memoryview(b"")

    def get(self, message: Message) -> Memory:
        """Return uint8[n]: what the other side has put; valid until it puts something else."""
        nbytes = message.note.nbytes
        return message.body if nbytes <= BODY_BYTES else self.incoming.read(nbytes)

    def trim(self) -> None:
        """Give back memory that no batch has needed of late; the slot must not be in use."""
        self.outgoing.trim()

    def close(self) -> None:
        """Let go of both arenas."""
        self.outgoing.close()
        self.incoming.close()


def new_slots(count: int) -> tuple[list[Slot], list[int]]:
    """Return slots with new arenas, and their descriptors as `slots_of` takes them."""
    slots = [Slot(Arena.create(), Arena.create()) for _ in range(count)]
    return slots, [fd for slot in slots for fd in (slot.outgoing.fd, slot.incoming.fd)]


def slots_of(fds: Sequence[int]) -> list[Slot]:
    """Return the other side's view of the slots with these descriptors."""
    return [
        Slot(Arena(outgoing), Arena(incoming))
        for incoming, outgoing in zip(fds[::2], fds[1::2], strict=True)
    ]
