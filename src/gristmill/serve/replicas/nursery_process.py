"""The nursery's own process: it has the libraries loaded, has one thread, and forks replicas.

It computes nothing, so that no pool of threads exists whose locks a fork would copy. Replicas live
on when it dies; all of them, and it, die with the process they work for.
"""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from gristmill.core.errors import GristmillError, ServeError
from gristmill.core.processes.child import Child
from gristmill.core.processes.failure import Failure
from gristmill.core.processes.interpreter import keep_loaded, load
from gristmill.core.processes.packets import close_all
from gristmill.core.processes.place import take_place
from gristmill.serve.replicas.channel import Channel, Message, Note
from gristmill.serve.replicas.messages import Birth, Born, Ended, Kind

_F_SETSIG = getattr(fcntl, "F_SETSIG", 10)


class NurseryProcess:
    """The loop of the nursery: fork when asked, report deaths, end when nobody asks any more."""

    def __init__(self, channel: Channel, lifeline: int) -> None:
        self._channel = channel
        self._lifeline = lifeline
        self._children: dict[int, tuple[int, Child]] = {}  # by pidfd: the number of each
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the other end closes."""
        self._selector.register(self._channel, selectors.EVENT_READ)
        with suppress(EOFError, OSError):
            while True:
                self._attend()

    def _attend(self) -> None:
        ready = {key.fd for key, _ in self._selector.select()}
        for pidfd in ready & self._children.keys():
            self._bury(*self._children.pop(pidfd))
        if self._channel.fileno() in ready and (message := self._channel.receive()):
            self._obey(message)

    def _obey(self, message: Message) -> None:
        birth = msgspec.msgpack.decode(message.body.data, type=Birth)
        try:
            child = Child.fork(lambda: self._live(birth, message.fds[0]))
        except OSError as error:
            born = Born(birth.number, failure=f"cannot fork: {error}")
            self._channel.send(Note(Kind.BORN), msgspec.msgpack.encode(born))
            return
        finally:
            close_all(message.fds)
        self._children[child.pidfd] = birth.number, child
        self._selector.register(child.pidfd, selectors.EVENT_READ)
        born = Born(birth.number, child.pid)
        self._channel.send(Note(Kind.BORN), msgspec.msgpack.encode(born), [child.pidfd])

    def _live(self, birth: Birth, end: int) -> int:
        """Be a replica."""
        self._let_go()
        take_place(threads=birth.threads, cores=birth.cores, nice=birth.nice)
        # Imported here: the nursery has it loaded, and this module needs no torch itself.
        from gristmill.serve.replicas.replica_process import serve

        return serve(Channel(socket.socket(fileno=end), waits=True))

    def _let_go(self) -> None:
        """Close what is the nursery's; not the lifeline, which is to end this process too."""
        self._selector.close()
        self._channel.close()
        for _, child in self._children.values():
            child.close()

    def _bury(self, number: int, child: Child) -> None:
        self._selector.unregister(child.pidfd)
        ended = Ended(number, child.bury())
        self._channel.send(Note(Kind.ENDED), msgspec.msgpack.encode(ended))


def main(end: int, lifeline: int, modules: Sequence[str]) -> None:
    """Run the nursery process.

    Args:
        end: descriptor of its socket.
        lifeline: descriptor of a pipe whose other end only the process it works for has open.
        modules: names of the modules to have loaded in all replicas.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Sent to all processes of a service at once; the server decides when its replicas end.
        signal.signal(number, signal.SIG_IGN)
    die_with_lifeline(lifeline)
    channel = Channel(socket.socket(fileno=end), waits=True)
    failure = _loaded([*modules, "gristmill.serve.replicas.replica_process"])
    said = msgspec.msgpack.encode(failure) if failure else b""
    with suppress(BrokenPipeError):  # it was closed before it was used; the loop sees that too
        channel.send(Note(Kind.READY), said)
    if failure is None:
        keep_loaded()
        NurseryProcess(channel, lifeline).run()


def die_with_lifeline(lifeline: int) -> None:
    """Have the kernel kill this process's whole group when the last writer of a pipe is gone.

    The signal for "something happened to this descriptor" (`O_ASYNC`, fcntl(2)) is chosen to be
    SIGKILL: no thread of ours has to be alive, or let go of a lock, for that. The parent's death
    signal (prctl(2)) would do less: it follows the nursery, not the process that it works for.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was gone before the signal was asked for
        os._exit(1)


def _loaded(modules: Sequence[str]) -> Failure | None:
    try:
        for name in modules:
            load(name, ServeError)
    except GristmillError as error:
        return Failure.of(error)
    return None
