"""A model that squares, replicas that obey the test."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gristmill.serve.online.in_process import InlineReplica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.bounds import Bounds


class Squares:
    """Answers x with x squared; breaks on negative numbers, answers too little to 99."""

    name, fingerprint, inputs, outputs, classes = "squares", "f1", (), (), ("a",)

    def __init__(self):
        self.batches = []

    def work(self, rows):
        return np.ones(rows.count)

    def __call__(self, rows):
        values = rows["x"]
        self.batches.append(values.tolist())
        if (values < 0).any():
            raise ValueError(f"negative: {values.min()}")
        if (values == 99).any():
            return Rows({"y": values[:-1]})
        return Rows({"y": values**2})


class HeldReplica:
    """Keeps its batches until the test lets them go."""

    def __init__(self, runner, rank=0, depth=1):
        self.runner, self.rank, self.depth = runner, rank, depth
        self.held, self.closed = [], False

    def start(self, rows, done):
        self.held.append((rows, done))

    def release(self, outcome=None, seconds=0.001):
        rows, done = self.held.pop(0)
        done(self.runner(rows) if outcome is None else outcome, seconds)

    async def close(self):
        self.closed = True


@pytest.fixture
def runner():
    return Squares()


@pytest.fixture
def rows():
    return lambda *values: Rows({"x": np.array(values, np.int64)})


@pytest.fixture
def held(runner):
    return lambda **more: HeldReplica(runner, **more)


@pytest.fixture
def make_endpoint(runner):
    def make(*replicas, cache=None, route="", clock=None, on_batch=None, **bounds):
        more = {} if clock is None else {"clock": clock}
        return ModelEndpoint(
            runner,
            replicas or [InlineReplica(runner)],
            limits=Bounds(**bounds),
            cache=cache,
            route=route,
            on_batch=on_batch,
            **more,
        )

    return make


@pytest.fixture
def turns():
    """Let the event loop turn a few times."""

    async def turn(count=5):
        for _ in range(count):
            await asyncio.sleep(0)

    return turn
