"""Priorities over HTTP, before a model that takes 900 s by its word and answers when it may."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.patience import PATIENCE_SECONDS, patient, web

from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.protocols.served import Served
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.server.app import App

ROW_SECONDS, DEADLINE = 900.0, 6000.0  # six rows in time, with minutes to spare for the machine


class HeldReplica:
    """Keeps its batch until the test lets all go; batches are started in the server's loop."""

    depth, rank = 1, 0

    def __init__(self, runner):
        self.runner, self.held, self.free = runner, [], False

    def start(self, rows, done):
        self.held.append((rows, done))
        self.loop = asyncio.get_running_loop()
        if self.free:
            self.loop.call_soon(self._answer)

    def let_go(self):
        self.free = True
        self.loop.call_soon_threadsafe(self._answer)

    def _answer(self):
        rows, done = self.held.pop()
        done(self.runner(rows), ROW_SECONDS)

    async def close(self):
        pass


@pytest.fixture
def model(constant, tmp_path):
    """The application, its endpoint and the replica that it waits for."""
    constant(tmp_path / "toy")
    runner = open_runner(tmp_path / "toy")
    replica = HeldReplica(runner)
    endpoint = ModelEndpoint(runner, [replica], limits=Bounds(batch_rows=1))
    for _ in range(3):
        endpoint.engine.scheduler.observe(0, 1.0, ROW_SECONDS)
    limits = patient(deadline=DEADLINE, max_deadline=DEADLINE)
    return App([Served(endpoint, limits)]), endpoint, replica


def until(holds):
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to pass within a minute"
        time.sleep(0.005)


def test_a_request_that_matters_more_takes_the_place_of_one_that_waits(model, running):
    app, endpoint, replica = model
    with running(app) as (host, port), ThreadPoolExecutor(10) as pool:
        url = f"http://{host}:{port}/v1/predict"

        def ask(priority):
            return web.post(
                url, json={"text": "a"}, headers={"X-Gristmill-Priority": str(priority)}
            )

        low = [pool.submit(ask, 5)]
        until(lambda: replica.held)
        low += [pool.submit(ask, 5) for _ in range(5)]
        until(lambda: endpoint.waiting == 5)
        refused = ask(5)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) > 0
        high = []
        for displaced in (1, 2, 3):
            high.append(pool.submit(ask, 0))
            until(lambda: sum(each.done() for each in low) == displaced)  # noqa: B023
        gone = [each.result() for each in low if each.done()]
        assert [each.json()["error"]["code"] for each in gone] == ["overloaded"] * 3
        replica.let_go()
        assert [each.result().status_code for each in high] == [200] * 3
        statuses = sorted(each.result().status_code for each in low)
        assert statuses == [200] * 3 + [503] * 3
