import errno
import os
import threading

import pytest

from gristmill.train.workers import nursery_process
from gristmill.train.workers.link import Link, pair
from gristmill.train.workers.messages import Ready, Start, Surroundings
from gristmill.train.workers.nursery_process import NurseryProcess, main


@pytest.fixture
def order():
    return Start(7, Surroundings({}, "/", [], 1, ()))


def test_a_fork_that_fails_is_told_and_closes_what_came_with_the_order(order, monkeypatch):
    near, far = pair()
    thread = threading.Thread(target=NurseryProcess(Link(far), os.pidfd_open(os.getpid())).run)
    thread.start()

    def refused():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(nursery_process.os, "fork", refused)
    (theirs, end), (read, write) = os.pipe(), os.pipe()
    near.send(order, [end, write])
    started = near.receive().open()
    assert (started.number, started.pid) == (7, 0)
    assert started.failure == "cannot fork: [Errno 11] Resource temporarily unavailable"
    for fd in (end, write):
        os.close(fd)
    assert os.read(read, 1) == os.read(theirs, 1) == b""
    near.close()
    thread.join(60)
    assert not thread.is_alive()
    os.close(read)
    os.close(theirs)


def test_it_does_nothing_for_a_master_that_is_gone():
    near, far = pair()
    main(far.detach(), os.getpid(), [])  # this process is not the parent of itself
    near.close()


def test_modules_that_cannot_be_loaded_are_told_instead(monkeypatch):
    near, far = pair()
    monkeypatch.setattr(nursery_process.os, "getppid", os.getpid)
    monkeypatch.setattr(nursery_process.signal, "signal", lambda *_: None)
    main(far.detach(), os.getpid(), ["json", "no_such_module_anywhere"])
    assert near.receive().open() == Ready(
        "cannot import no_such_module_anywhere: ModuleNotFoundError: "
        "No module named 'no_such_module_anywhere'"
    )
    with pytest.raises(EOFError):
        near.receive()
    near.close()
