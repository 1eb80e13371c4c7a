"""Turns, deadlines and ends of a model's streams, without a network."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from tests.patience import PATIENCE_SECONDS, patient

from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Rows
from gristmill.serve.streams import driver as driver_module
from gristmill.serve.streams.driver import StreamDriver
from gristmill.serve.streams.frame import Frame
from gristmill.serve.streams.streaming import Kept, Streamed

FRAME = Frame(bytes(3), raw=True)


class OnePixel:
    """Answers pictures of one pixel; notes which thread did."""

    fingerprint, size = "f" * 32, (1, 1)

    def __init__(self):
        self.names, self.threads, self.idle_looks = [], set(), 0
        self.gate = threading.Event()
        self.gate.set()

    @property
    def kept(self):
        return Kept(len(set(self.names)), 1, 0)

    def answer(self, stream, image, tolerance):
        assert self.gate.wait(PATIENCE_SECONDS)
        self.names.append(stream)
        self.threads.add(threading.current_thread().name)
        return Streamed(Rows({"x": np.zeros(1)}, 1), 1.0, True)

    def close_idle(self):
        self.idle_looks += 1
        self.names.clear()
        return 1

    def clear(self):
        self.names.clear()


def driven(check, **limits):
    """Run `check(driver, streaming)` in an event loop."""

    async def run():
        streaming = OnePixel()
        served = SimpleNamespace(
            name="pixels",
            streaming=streaming,
            endpoint=None,
            limits=patient(**limits),
            check_finite=lambda _: None,
        )
        driver = StreamDriver(served)
        try:
            await check(driver, streaming)
        finally:
            streaming.gate.set()
            driver.close()

    asyncio.run(run())


def test_one_thread_computes_in_the_order_in_which_streams_ask():
    async def check(driver, streaming):
        streaming.gate.clear()
        asked = [asyncio.ensure_future(driver.answer(name, lambda: FRAME)) for name in "abcabc"]
        await asyncio.sleep(0.01)
        assert not any(each.done() for each in asked)
        streaming.gate.set()
        told = await asyncio.gather(*asked)
        assert streaming.names == list("abcabc")
        assert len(streaming.threads) == 1
        assert all(each.answered.model == "f" * 32 and each.seconds > 0 for each in told)

    driven(check)


def test_a_picture_is_taken_when_its_turn_has_come():
    async def check(driver, streaming):
        streaming.gate.clear()
        newest = [Frame(b"too long", raw=True)]
        first = asyncio.ensure_future(driver.answer("a", lambda: FRAME))
        second = asyncio.ensure_future(driver.answer("b", lambda: newest[-1]))
        await asyncio.sleep(0.01)
        newest.append(FRAME)
        streaming.gate.set()
        await asyncio.gather(first, second)

    driven(check)


def test_who_cannot_be_answered_in_time_or_at_all():
    async def check(driver, streaming):
        streaming.gate.clear()
        first = asyncio.ensure_future(driver.answer("a", lambda: FRAME))
        soon, later = time.monotonic() + 0.05, time.monotonic() + 60
        late = asyncio.ensure_future(driver.answer("b", lambda: FRAME, soon))
        waiting = asyncio.ensure_future(driver.answer("c", lambda: FRAME, later))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 pictures wait already") as full:
            await driver.answer("d", lambda: FRAME, later)
        conversation = asyncio.ensure_future(driver.answer("e", lambda: FRAME))
        with pytest.raises(Refusal) as refused:
            await late
        assert [each.value.code for each in (full, refused)] == ["queue_full", "late"]
        streaming.gate.set()
        await asyncio.gather(first, waiting, conversation)
        assert streaming.names == ["a", "c", "e"]

    driven(check, max_queue=2, max_instances=1)


def test_nobody_waits_for_one_that_left():
    async def check(driver, streaming):
        streaming.gate.clear()
        left = asyncio.ensure_future(driver.answer("a", lambda: FRAME))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.wait([left])
        streaming.gate.set()
        await driver.answer("b", lambda: FRAME)
        assert streaming.names == ["a", "b"]

    driven(check)


def test_idle_streams_are_closed_though_no_picture_comes(monkeypatch):
    monkeypatch.setattr(driver_module, "_TIDY_SECONDS", 0.01)

    async def check(driver, streaming):
        await driver.answer("a", lambda: FRAME)
        latest = time.monotonic() + 60
        while not streaming.idle_looks:
            assert time.monotonic() < latest
            await asyncio.sleep(0.005)
        assert streaming.kept.streams == 0

    driven(check)


def test_nothing_is_answered_after_the_end():
    async def check(driver, streaming):
        await driver.answer("a", lambda: FRAME)
        driver.close()
        with pytest.raises(Refusal) as caught:
            await driver.answer("a", lambda: FRAME)
        assert caught.value.code == "stopping"

    driven(check)
