"""Replicas of a model that does what its rows say, good or bad; one nursery and one event loop."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import time

import numpy as np
import pytest

from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.patience import Care
from gristmill.serve.replicas.replica_set import ReplicaSet
from gristmill.serve.runners.rows import Rows

PATIENCE_SECONDS = 60.0
PATIENT = Care(
    least=PATIENCE_SECONDS,
    most=PATIENCE_SECONDS,
    pong=PATIENCE_SECONDS,
    first_pause=0.02,
    homeless=PATIENCE_SECONDS,
)
"""A healthy process on a busy machine is never taken for a hung one."""

MODELS = '''
import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np

from gristmill.serve.runners.rows import Rows
from gristmill.store.signature import Field


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def crash():
    ctypes.string_at(0)


def hang():
    time.sleep(3600)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def leave():
    os._exit(3)


def fail():
    raise ValueError("the model does not like it")


def eat():
    held = np.ones(4 << 30, np.uint8)


def starve():
    try:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")
    except RuntimeError as error:
        raise ValueError("node 'linear'") from error


DOES = {-1: kill, -2: crash, -3: hang, -4: stop, -5: leave, -6: fail, -7: eat, -8: starve}


class Doubler:
    """Answers twice the number; a negative one makes it do something else."""

    inputs = (Field("x", "float"),)
    outputs = (Field("y", "float"),)
    classes = ()

    def __init__(self, source, threads):
        self.name, self.fingerprint = (Path(source) / "model.txt").read_text().split()
        self.factor = 3.0 if self.name == "tripler" else 2.0
        self.threads = threads

    def work(self, rows):
        return np.ones(rows.count)

    def __call__(self, rows):
        x = rows["x"]
        if not isinstance(x, np.ndarray):
            return Rows({"y": x})
        for value in x.reshape(len(x), x[:1].size)[:, :1].ravel():
            DOES.get(float(value), int)()
        if self.name == "short":
            return Rows({"y": x[1:]})
        return Rows({"y": x * self.factor})


class Witness(Doubler):
    """Answers what its process is like."""

    def __call__(self, rows):
        found = [os.getpid(), os.nice(0), len(os.sched_getaffinity(0)), self.threads]
        return Rows({"y": [found] * rows.count})


def doubler(source, threads, weights):
    return Doubler(source, threads)


def witness(source, threads, weights):
    return Witness(source, threads)


def not_there(source, threads, weights):
    kill()
'''


@pytest.fixture(scope="session")
def models_path(tmp_path_factory):
    """A folder on the import path with the module `odd_models`."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "odd_models.py").write_text(textwrap.dedent(MODELS))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def run():
    """Run a coroutine in the one event loop of these tests."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session")
def nursery(models_path, run):
    async def start():
        return Nursery(["odd_models"])

    async def close():
        nursery.close()

    nursery = run(start())
    yield nursery
    run(close())


@pytest.fixture(autouse=True)
def why_it_ended_is_waited_for(monkeypatch):
    """The nursery tells what a process died of, however late."""
    monkeypatch.setattr("gristmill.serve.replicas.remote_replica._REASON_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def model(tmp_path):
    """A folder that can be opened: `model(name, fingerprint)` makes and changes it."""

    def write(name="doubler", fingerprint="d" * 32, folder=tmp_path / "model"):
        folder.mkdir(exist_ok=True)
        (folder / "model.txt").write_text(f"{name} {fingerprint}")
        return folder

    return write


@pytest.fixture
def started(run, nursery, model):
    """Start a set of doublers; it is closed after the test."""
    sets = []

    async def start(count, *, opener="odd_models:doubler", source=None, **options):
        options.setdefault("care", PATIENT)
        found = await ReplicaSet.start(
            source or model(), count, opener=opener, nursery=nursery, **options
        )
        sets.append(found)
        return found

    yield start

    async def close():
        for each in sets:
            await each.close(1.0)

    run(close())


@pytest.fixture(scope="session")
def numbers():
    """Make rows of numbers."""
    return lambda *values: Rows({"x": np.array(values, np.float64)})


@pytest.fixture(scope="session")
def ask():
    """Run rows at one place; return what comes of them, and refuse to be told twice."""

    async def send(place, rows):
        told = asyncio.get_running_loop().create_future()

        def done(outcome, seconds):
            assert not told.done(), "answered twice"
            told.set_result(outcome)

        place.start(rows, done)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await told

    return send


@pytest.fixture(scope="session")
def until():
    """Wait until a condition holds; fail if it never does."""

    async def wait(condition):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if value := condition():
                return value
            await asyncio.sleep(0.005)
        raise AssertionError("it did not happen")

    return wait
