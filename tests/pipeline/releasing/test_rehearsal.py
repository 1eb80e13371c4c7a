"""A bundle that can't be served, answers wrongly or too late is found out before it answers."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from gristmill.pipeline.releasing.rehearsal import Rehearsal, rehearse
from gristmill.pipeline.releasing.stored_request import StoredRequest, made_up_requests
from gristmill.serve.refusal import Refusal

HELLO = [{"text": "hello there"}]


def test_a_sound_bundle_passes_and_says_how_fast_it_was(spam_bundle) -> None:
    found = rehearse(spam_bundle.folder, made_up_requests(spam_bundle), latency=30.0)
    assert found.passed, found
    assert found.requests == 6
    assert found.p99_seconds is not None
    assert 0 < found.p99_seconds < 30
    assert str(found).startswith("rehearsal: 6 requests as expected, p99 ")


def test_what_is_not_as_expected_is_said(spam_bundle) -> None:
    found = rehearse(
        spam_bundle.folder,
        [
            StoredRequest("a bad one", [{"txet": "hello"}]),
            StoredRequest("a good one", HELLO, expect="refusal"),
            StoredRequest("a wrong label", HELLO, label="eggs"),
        ],
    )
    assert not found.passed
    assert found.p99_seconds is None
    refused, answered, label = found.failures
    assert refused.startswith("a bad one: refused: HTTP 422")
    assert answered == "a good one: expected a refusal, found an answer"
    assert label.startswith("a wrong label: expected the label 'eggs', found ")


def test_an_objective_that_is_missed_fails(spam_bundle) -> None:
    found = rehearse(spam_bundle.folder, [StoredRequest("a good one", HELLO)], latency=1e-9)
    (said,) = found.failures
    assert said.startswith("99 % of requests are answered within ")


@pytest.mark.parametrize(
    ("late", "failed"), [({1, 2, 20}, []), ({1, 2, 3}, ["good: refused: late"])]
)
def test_who_is_late_is_asked_again_and_fails_if_always_late(monkeypatch, late, failed) -> None:
    turns = count(1)

    def request(*_: object) -> bytes:
        if next(turns) in late:
            raise Refusal(503, "overloaded", "late")
        return b'{"predictions": [{"label": "ham"}]}'

    @contextmanager
    def running_server(_: Path):
        yield SimpleNamespace(client=SimpleNamespace(request=request))

    monkeypatch.setattr("gristmill.serve.server.process.running_server", running_server)
    found = rehearse(Path("none"), [StoredRequest("good", HELLO)])
    assert found.failures == failed
    assert (found.p99_seconds is None) == bool(failed)


def test_a_damaged_bundle_fails(spam_bundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(spam_bundle.folder, copy)
    (copy / "weights.safetensors").write_bytes(b"")
    found = rehearse(copy, made_up_requests(spam_bundle))
    assert found.failures[0].startswith("it cannot be served: ")


def test_failures_are_listed() -> None:
    assert str(Rehearsal(2, ["one", "two"])) == "rehearsal failed\n  - one\n  - two"
