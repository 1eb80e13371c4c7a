"""A model for the benchmarks of replica processes: hardly any work, or just so much."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
from numpy.typing import NDArray

from gristmill.serve.runners.rows import Rows
from gristmill.store.signature import Field

OPENER = "serve_echo:open_echo"
POISON = 666.0
"""A row that begins with this ends the process that runs it."""


class Echo:
    """Answers twice the first number of each row, after so much work in Python.

    Args:
        source: the last part of this path is the seconds of work a batch: `/0.001`.
    """

    name, fingerprint, classes = "echo", "0" * 32, ()
    inputs = (Field("x", "float"),)
    outputs = (Field("y", "float"),)

    def __init__(self, source: str) -> None:
        self.seconds = float(source.rpartition("/")[2])

    def work(self, rows: Rows) -> NDArray[np.float64]:
        return np.ones(rows.count)

    def __call__(self, rows: Rows) -> Rows:
        x = rows["x"]
        assert isinstance(x, np.ndarray)
        first = x.reshape(len(x), -1)[:, 0]
        if (first == POISON).any():
            os.kill(os.getpid(), signal.SIGKILL)
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
        return Rows({"y": first * 2})


def open_echo(source: str, *_: object) -> Echo:
    return Echo(source)


def in_another_process(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """What the same model costs behind a pool of processes: the answer, and its own seconds."""
    began = time.perf_counter()
    answer = x.reshape(len(x), -1)[:, 0] * 2
    return answer, time.perf_counter() - began
