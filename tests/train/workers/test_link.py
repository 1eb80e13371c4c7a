import os
import resource
import threading

import pytest
from tests.processes import open_files

from gristmill.core.errors import TrainError
from gristmill.train.workers.link import INLINE_BYTES, Link, pair


@pytest.fixture
def ends():
    near, far = pair()
    far = Link(far, drains=True)
    yield near, far
    near.close()
    far.close()


@pytest.mark.parametrize(
    "size", [0, 1, INLINE_BYTES - 64, INLINE_BYTES, INLINE_BYTES + 1, 20_000_000]
)
def test_messages_of_any_size_arrive_whole(ends, size):
    near, far = ends
    near.send(b"x" * size)
    near.send("after")
    assert far.receive().open() == b"x" * size
    assert far.receive().open() == "after"


def test_huge_messages_leave_no_descriptor_open(ends):
    near, far = ends
    before = open_files()
    for _ in range(5):
        near.send(bytes(100_000))
        parcel = far.receive()
        assert parcel.fds == []
        assert parcel.open() == bytes(100_000)
        del parcel
    assert open_files() == before


@pytest.mark.parametrize("size", [10, 100_000])
def test_descriptors_come_with_their_message(ends, size):
    near, far = ends
    read, write = os.pipe()
    near.send(bytes(size), [write])
    os.close(write)
    parcel = far.receive()
    os.write(parcel.fds[0], b"through")
    assert not os.get_inheritable(parcel.fds[0])
    parcel.close()
    assert os.read(read, 100) == b"through"
    assert os.read(read, 100) == b""
    os.close(read)


def test_polling_finds_what_is_there_and_then_sleeps(ends):
    near, far = ends
    near.send(1)
    assert far.receive(0.01).open() == 1
    threading.Timer(0.02, near.send, [2]).start()
    assert far.receive(0.001).open() == 2


def test_the_end_is_told_after_the_last_message(ends):
    near, far = ends
    far.send("last words")
    far.close()
    assert near.receive().open() == "last words"
    with pytest.raises(EOFError):
        near.receive()
    with pytest.raises(BrokenPipeError):
        near.send("anybody?")


def test_two_ends_that_send_much_at_once_do_not_wait_for_each_other(ends):
    near, far = ends
    count, message = 1000, bytes(4000)

    def answer():
        for _ in range(count):
            far.send(message)
        for number in range(count):
            assert far.receive().open() == (number, message)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    for number in range(count):
        near.send((number, message))
    for _ in range(count):
        assert near.receive().open() == message
    thread.join(60)
    assert not thread.is_alive()


def test_too_many_open_files_are_an_error_not_a_lost_descriptor(ends):
    near, far = ends
    near.send("with a file", [0])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        with pytest.raises(TrainError, match="too many files are open in this process"):
            far.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_closed_link_closes_what_nobody_received(ends):
    near, far = ends
    read, write = os.pipe()
    near.send("unread", [write])
    os.close(write)
    far._wait_for_room()
    far.close()
    assert os.read(read, 1) == b""
    os.close(read)


def test_a_closed_link_has_no_descriptor():
    near, far = pair()
    far.close()
    near.close()
    assert near.fileno() == -1
