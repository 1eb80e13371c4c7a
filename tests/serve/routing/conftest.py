"""Endpoints without models: they answer what they are told, when they are told."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from gristmill.serve.online.endpoint import Answered, Call
from gristmill.serve.runners.labels import ClassRows
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Field

CLASSES = ("ham", "spam")


class FakeEndpoint:
    """Answers with fixed probabilities of `spam`, or numbers, or an error; may wait for a gate."""

    inputs = (Field("text", "string"),)
    outputs = (Field("label", "string"), Field("prob", "float"))
    classes = CLASSES

    def __init__(self, name, spam=0.9, error=None, gate=None, after=0.0):
        self.name, self.spam, self.error, self.gate, self.after = name, spam, error, gate, after
        self.fingerprint = f"{name:0<32}"
        self.calls, self.open, self.most, self.cancelled = [], 0, 0, 0
        self.closed = False

    async def answer(self, rows, call):
        assert not self.closed
        self.calls.append(call)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.after:
                await asyncio.sleep(self.after)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1
        if self.error is not None:
            raise self.error
        probs = np.tile((1 - self.spam, self.spam), (rows.count, 1))
        return Answered(rows=ClassRows(list(CLASSES), probs), model=self.fingerprint)

    async def close(self):
        self.closed = True


class PromptEndpoint(FakeEndpoint):
    """Is asked without a coroutine, unless it says no, and tells when the test says so.

    `asked` has whom it is to tell, `left` how many do not wait any more.
    """

    def __init__(self, name, *, says_no=False, **fields):
        super().__init__(name, **fields)
        self.says_no, self.asked, self.left = says_no, [], 0

    def ask(self, rows, call, told):
        assert not self.closed
        if self.error is not None:
            raise self.error
        if self.says_no:
            return None
        self.asked.append(told)
        return self.leave

    def leave(self):
        self.left += 1

    def tell(self, outcome=None):
        self.asked.pop(0)(outcome or Answered(rows=Rows({"label": ["ham", "ham"]}), model="m"))


@pytest.fixture
def endpoint():
    return FakeEndpoint


@pytest.fixture
def prompt():
    return PromptEndpoint


@pytest.fixture
def rows():
    return Rows({"text": ["a", "b"]})


@pytest.fixture
def call():
    """call(seconds=60.0, **fields): a call with a deadline from now."""

    def make(seconds=60.0, request_id="r1", **fields):
        return Call(request_id=request_id, deadline=time.monotonic() + seconds, **fields)

    return make


@pytest.fixture
def page():
    """page(endpoint): the figures of its metrics, `name{label,label}` -> value."""

    def figures(endpoint):
        return {
            f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
            for sample in endpoint.samples()
        }

    return figures
