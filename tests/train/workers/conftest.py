import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator

import pytest
from tests.processes import lives

from gristmill.train.workers.nursery import Nursery
from gristmill.train.workers.payload import dumps

PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="session")
def cradle() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def handyman():
    """A target that does whatever function it is sent, with itself as first argument."""

    class Handyman:  # defined inside a function: it goes to the worker by value
        def __init__(self, rank, pool, values):
            self.rank, self.pool, self.values = rank, pool, values
            self.kept = {}

        def do(self, fn, *args):
            return fn(self, *args)

    return Handyman


@pytest.fixture
def worker(cradle, handyman):
    worker = cradle.start(0)
    worker.build(dumps(handyman))
    worker.receive().get()
    yield worker
    worker.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], object]:
    """Wait until a condition holds; fail if it never does."""

    def wait(condition):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.005)
        raise AssertionError("it did not happen")

    return wait


@pytest.fixture
def all_gone(until):
    return lambda pids: until(lambda: not any(map(lives, pids)))


_LISTENS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell runs beside it
"""


@pytest.fixture
def script(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a script of its own process group, as a shell would; its output is a pipe."""
    running = []

    def start(source: str, *args: str) -> subprocess.Popen:
        path = tmp_path / f"script{len(running)}.py"
        path.write_text(_LISTENS + textwrap.dedent(source))
        process = subprocess.Popen(
            [sys.executable, str(path), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            cwd=tmp_path,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
