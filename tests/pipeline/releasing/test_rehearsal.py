"""A bundle that can't be served, answers wrongly or too late is found out before it answers."""

from __future__ import annotations

import shutil
from pathlib import Path

from gristmill.pipeline.releasing.rehearsal import Rehearsal, rehearse
from gristmill.pipeline.releasing.stored_request import StoredRequest, made_up_requests

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


def test_a_damaged_bundle_fails(spam_bundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(spam_bundle.folder, copy)
    (copy / "weights.safetensors").write_bytes(b"")
    found = rehearse(copy, made_up_requests(spam_bundle))
    assert found.failures[0].startswith("it cannot be served: ")


def test_failures_are_listed() -> None:
    assert str(Rehearsal(2, ["one", "two"])) == "rehearsal failed\n  - one\n  - two"
