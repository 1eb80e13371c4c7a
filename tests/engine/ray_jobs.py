"""Work for the tests of the Ray engine: a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path

import numpy as np


def _mark(folder, number):
    """Leave a file for each time that an item is begun; its name says where."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    (Path(folder) / f"{number}.{node}.{os.getpid()}.{uuid.uuid4().hex}").touch()
    return node


def _wait(done):
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def slow(job):
    folder, number, seconds = job
    _mark(folder, number)
    time.sleep(seconds)
    return number


def held(job):
    """Last until the gate is open, and for ever on a node that it names."""
    folder, number = job
    node = _mark(folder, number)
    gate = Path(folder) / "open"
    _wait(lambda: gate.exists() and gate.read_text() != node)
    return number


def killed_once(job):
    folder, number, victim = job
    _mark(folder, number)
    if number == victim and len(list(Path(folder).glob(f"{number}.*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def poisoned(job):
    folder, number, victim = job
    _mark(folder, number)
    if number == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def large(job):
    """A result that goes through the object store."""
    folder, number = job
    _mark(folder, number)
    return np.full(400_000, number)


def large_together(job):
    """A large result; it is made once so many items are begun."""
    folder, number, together = job
    _mark(folder, number)
    _wait(lambda: len(list(Path(folder).iterdir())) >= together)
    return np.full(400_000, number)


def added_in_place(array):
    array += 1
    return array


class Keeper:
    """An object that can tell where it is and end its process."""

    def __init__(self, rank):
        self.rank = rank

    def threads(self):
        return os.environ["OMP_NUM_THREADS"]

    def accelerators(self):
        return os.environ["CUDA_VISIBLE_DEVICES"]

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self, folder):
        _mark(folder, self.rank)
        time.sleep(600)
