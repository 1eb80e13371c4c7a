"""Work for the tests of the engines: a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from gristmill.core.errors import DataError


def double(x):
    return 2 * x


def slow_when_even(x):
    time.sleep(0.02 if x % 2 == 0 else 0)
    return x


def fail_on_three(x):
    if x == 3:
        raise ValueError("three is too many")
    return x


def fail_ours(x):
    raise DataError("bad cell", where="a.csv, line 3", fix="mend it")


class OddError(Exception):
    """An exception that does not survive pickling."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_oddly(x):
    raise OddError(1, 2)


def leave(x):
    sys.exit(3)


class Stop(BaseException):
    """What ends programs, not an error."""


def end_on_one(x):
    if x == 1:
        raise Stop("enough")
    return x


def interrupt_on_one(x):
    if x == 1:
        raise KeyboardInterrupt
    return x


def signalled_on_one(x, number):
    if x == 1:
        os.kill(os.getpid(), number)
        time.sleep(60)
    return x


def kill_on_two(x):
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def exit_hard(x):
    os._exit(7)


def unsendable_result(x):
    return lambda: x


def environment(name):
    return os.environ.get(name)


def pid(x):
    return os.getpid()


def hang(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def ignores_interrupt(x):
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


class Counter:
    """An object with state."""

    def __init__(self, rank):
        if rank == 5:
            raise ValueError("no five")
        self.rank, self.total = rank, 0

    def add(self, amount):
        self.total += amount
        return self.total

    def where(self):
        return self.rank, os.getpid()

    def fail(self):
        raise KeyError("gone")

    def ours(self):
        raise DataError("bad cell")

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self, seconds):
        time.sleep(seconds)

    def hang(self, folder):
        hang(folder)

    def echo(self, value):
        return value


def die_at_first(folder_and_number):
    """Note each try in a file of the item's own, and die in the first of them."""
    folder, number = folder_and_number
    tries = Path(folder) / str(number)
    with tries.open("a") as file:
        file.write("x")
    if number % 3 == 0 and tries.stat().st_size == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def note_and_wait(folder_and_number):
    folder, number = folder_and_number
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(0.02)
    return number


def large(x):
    return bytes(x)


class OnlyThere:
    """A value that workers can send and nobody can read."""

    def __reduce__(self):
        return _unreadable, ()


def _unreadable():
    raise LookupError("nothing to read")


def only_there(x):
    return OnlyThere() if x == 1 else x


def rows_far_away(item: tuple[str, dict[str, str]]) -> int:
    """Count the rows of a table in a store that variables of the environment name."""
    from gristmill.data import open_stream

    url, variables = item
    os.environ.update(variables)
    return sum(part.height for part in open_stream(url).parts())
