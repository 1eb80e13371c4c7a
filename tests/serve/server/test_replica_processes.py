"""A server whose model runs in processes of its own, over real HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import msgspec
import pytest
from tests.patience import patient

from gristmill.serve.server.process import running_server
from gristmill.serve.server.settings import Settings

TEXTS = [{"text": "win a prize now"}, {"text": "see you at six"}]
LONG_SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(spam_bundle, tmp_path_factory):
    return shutil.copytree(spam_bundle.folder, tmp_path_factory.mktemp("served") / "spam")


@pytest.fixture(scope="module")
def server(folder):
    settings = Settings(replicas=2, log_level="error", limits=patient())
    with running_server(folder, settings) as server:
        yield server


def replicas_of(server):
    """Return the processes that the server's nursery has forked."""
    parents = {}
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                state, parent, *_ = (each / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if state not in "ZX":
                parents[int(each.name)] = int(parent)
    return [pid for pid, parent in parents.items() if parents.get(parent) == server.pid]


def readiness(server):
    return msgspec.json.decode(server.client.request("GET", "/readyz"))


def metrics_of(server):
    return server.client.request("GET", "/metrics").decode()


def until(condition):
    end = time.monotonic() + LONG_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_replicas_answer_die_and_come_back_until_the_bundle_is_gone(server, folder):
    expected = server.client.predict(TEXTS)
    assert len(replicas_of(server)) == 2
    assert readiness(server) == {"ready": True}

    before = replicas_of(server)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        found = server.client.predict(TEXTS)
        assert [each.probs for each in found] == [each.probs for each in expected]
    until(lambda: 'gristmill_replicas{model="spam"} 2' in metrics_of(server))
    assert not set(replicas_of(server)) & set(before)

    (folder / "graph.json").write_text("{}")  # it was tampered with: none can be started any more
    os.kill(replicas_of(server)[0], signal.SIGKILL)
    said = until(lambda: readiness(server).get("problems") and readiness(server))
    assert said["ready"]
    assert "cannot be started" in said["problems"][0]
    assert "graph.json" in said["problems"][0]
    assert server.client.predict(TEXTS)[0].probs == expected[0].probs

    metrics = metrics_of(server)
    assert 'gristmill_replicas{model="spam"} 1' in metrics
    assert 'gristmill_replicas_lost_total{model="spam"} 3' in metrics
