"""What the gate said and how the rehearsal went decide, or go on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.errors import GateError, UsageError
from gristmill.pipeline.gating.verdict import Verdict
from gristmill.pipeline.releasing import promotion
from gristmill.pipeline.releasing.promotion import promote, release
from gristmill.pipeline.releasing.rehearsal import Rehearsal
from gristmill.store.project import Project, using
from gristmill.store.registry import Registry

YES = Verdict("promote", ["better"], "new", evidence={"figure": 0.9})
NO = Verdict("hold", ["f1 0.900", "not shown to be better"], "new")


@pytest.fixture
def project(tmp_path: Path):
    with Project(tmp_path) as opened:
        yield opened


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch):
    """rehearsed(*failures): what every rehearsal from here on finds; no server is started."""

    def set_up(*failures: str) -> None:
        found = Rehearsal(3, list(failures), 0.01)
        monkeypatch.setattr(promotion, "rehearse", lambda *_, **__: found)

    set_up()
    return set_up


def test_a_bundle_that_passed_everything_answers(project, spam_bundle) -> None:
    with using(project):
        told = release(spam_bundle, YES, "spam", latency=30.0)
    assert (told.version, told.verdict, told.author) == (1, "promote", "gate")
    assert told.evidence["figure"] == 0.9
    assert told.evidence["rehearsal"]["failures"] == []
    assert Registry(project).live("spam").version == 1


def test_a_failed_rehearsal_rejects(project, spam_bundle, rehearsed) -> None:
    rehearsed("it cannot be served: no")
    with using(project):
        told = release(spam_bundle, YES, "spam")
    assert (told.verdict, told.reasons) == ("reject", ["it cannot be served: no"])
    assert Registry(project).live("spam") is None


def test_what_the_gate_held_is_registered_and_not_rehearsed(
    project, spam_bundle, rehearsed
) -> None:
    with using(project):
        told = release(spam_bundle, NO, "spam")
    assert (told.verdict, told.reasons) == ("hold", NO.reasons)
    assert "rehearsal" not in told.evidence


def test_a_promotion_by_hand_minds_the_gate_unless_forced(project, spam_bundle, rehearsed) -> None:
    with using(project):
        release(spam_bundle, NO, "spam")
    with pytest.raises(GateError, match="gate said hold: not shown to be better") as caught:
        promote(project, "spam", 1, reason="I know better")
    assert "--force" in str(caught.value.fix)
    with pytest.raises(UsageError, match="a forced promotion needs a reason"):
        promote(project, "spam", 1, force=True)
    told = promote(project, "spam", 1, force=True, reason="I know better", author="ada")
    assert told.forced
    assert told.reasons == [
        "I know better",
        "forced against: gate said hold: not shown to be better",
    ]
    assert promote(project, "spam", 1, reason="again").forced is False


def test_a_promotion_by_hand_minds_the_rehearsal(project, spam_bundle, rehearsed) -> None:
    with using(project):
        release(spam_bundle, YES, "spam")
    rehearsed("a record: refused")
    with pytest.raises(GateError, match="version 1 of 'spam' is not promoted: a record: refused"):
        promote(project, "spam", 1, alias="candidate")
    with pytest.raises(UsageError, match="model 'spam' has no version 2"):
        promote(project, "spam", 2)


def test_a_release_needs_a_project(spam_bundle) -> None:
    with pytest.raises(UsageError, match="there is no project to release into"):
        release(spam_bundle, YES, "spam")


def test_a_step_that_runs_again_after_a_kill_decides_once(project, spam_bundle, rehearsed) -> None:
    with using(project):
        first = release(spam_bundle, YES, "spam")
        assert release(spam_bundle, YES, "spam") == first
        assert len(Registry(project).history("spam")) == 1
        release(spam_bundle, NO, "spam")
        assert release(spam_bundle, YES, "spam").at > first.at
    assert [entry.verdict for entry in Registry(project).history("spam")] == [
        "promote", "hold", "promote",
    ]  # fmt: skip
