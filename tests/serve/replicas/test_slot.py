import numpy as np
import pytest

from gristmill.serve.replicas.channel import BODY_BYTES, Message, Note
from gristmill.serve.replicas.slot import new_slots, slots_of


@pytest.fixture
def sides():
    import os

    ours, fds = new_slots(2)
    theirs = slots_of([os.dup(fd) for fd in fds])
    yield ours, theirs
    for slot in [*ours, *theirs]:
        slot.close()


def received(body, nbytes):
    return Message(Note(0, nbytes=nbytes), np.frombuffer(body, np.uint8), [])


@pytest.mark.parametrize("size", [0, 10, BODY_BYTES, BODY_BYTES + 1, 3 * BODY_BYTES])
def test_what_one_side_puts_the_other_gets(sides, size):
    for ours, theirs in zip(*sides, strict=True):
        for writer, reader in ((ours, theirs), (theirs, ours)):
            data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
            body = writer.put(size, lambda memory, data=data: np.copyto(memory, data))
            assert (reader.get(received(body, size)) == data).all()
            body = writer.put_bytes(data.tobytes())
            assert (reader.get(received(body, size)) == data).all()


def test_only_what_is_long_needs_the_arena(sides):
    ours = sides[0][0]
    assert len(ours.put_bytes(b"x" * BODY_BYTES)) == BODY_BYTES
    assert ours.outgoing.nbytes == 0
    assert len(ours.put_bytes(b"x" * (BODY_BYTES + 1))) == 0
    assert ours.outgoing.nbytes > BODY_BYTES


def test_both_directions_are_apart(sides):
    ours, theirs = sides[0][0], sides[1][0]
    ours.put_bytes(b"a" * (BODY_BYTES + 1))
    theirs.put_bytes(b"b" * (BODY_BYTES + 1))
    assert bytes(theirs.get(received(b"", BODY_BYTES + 1))[:3]) == b"aaa"
    assert bytes(ours.get(received(b"", BODY_BYTES + 1))[:3]) == b"bbb"
