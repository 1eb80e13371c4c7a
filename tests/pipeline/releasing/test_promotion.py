"""What the gate said and how the rehearsal went decide, or go on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.errors import GateError, UsageError
from gristmill.data.features import HashedNgrams
from gristmill.pipeline.gating.verdict import Verdict
from gristmill.pipeline.releasing import promotion
from gristmill.pipeline.releasing.promotion import promote, release
from gristmill.pipeline.releasing.rehearsal import Rehearsal
from gristmill.store.bundle import Bundle
from gristmill.store.project import Project, using
from gristmill.store.registry import Registry
from gristmill.train.bundle import bundle_model
from gristmill.train.text.text_models import BagOfNgrams

YES = Verdict("promote", ["better"], "new", evidence={"figure": 0.9})
NO = Verdict("hold", ["f1 0.900", "not shown to be better"], "new")


@pytest.fixture
def project(tmp_path: Path):
    with Project(tmp_path) as opened:
        yield opened


@pytest.fixture
def other_bundle(tmp_path: Path) -> Bundle:
    """A bundle of another model than `spam_bundle`, with the same inputs."""
    return bundle_model(
        BagOfNgrams(2**8, 2),
        tmp_path / "other",
        name="spam",
        classes=["ham", "spam"],
        featurizer=HashedNgrams(buckets=2**8),
    )


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


def test_what_was_rolled_back_is_not_promoted_again_by_the_gate(
    project, spam_bundle, other_bundle, rehearsed
) -> None:
    registry = Registry(project)
    with using(project):
        release(spam_bundle, YES, "spam")
        release(other_bundle, YES, "spam")
        registry.roll_back("spam", author="ada", reason="complaints")
        told = release(other_bundle, YES, "spam")
        assert (told.version, told.verdict) == (2, "hold")
        assert "it was rolled back by ada on " in told.reasons[-1]
        assert "(back from version 2: complaints)" in told.reasons[-1]
        assert release(other_bundle, YES, "spam") == told == registry.history("spam")[-1]
        assert registry.live("spam").version == 1
        promote(project, "spam", 2, force=True, reason="they were wrong")
        registry.decide("spam", 1, "promote", ["by hand"], author="ada")
        assert release(other_bundle, YES, "spam").verdict == "promote"


def test_what_answers_already_is_no_news(project, spam_bundle, rehearsed) -> None:
    with using(project):
        first = release(spam_bundle, YES, "spam")
        assert release(spam_bundle, NO, "spam") == first
        assert len(Registry(project).history("spam")) == 1
        worse = Verdict("reject", ["below the floor"], "new")
        assert release(spam_bundle, worse, "spam").verdict == "reject"


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


def test_a_step_that_runs_again_after_a_kill_decides_once(
    project, spam_bundle, other_bundle, rehearsed
) -> None:
    with using(project):
        first = release(spam_bundle, YES, "spam")
        assert release(spam_bundle, YES, "spam") == first
        assert len(Registry(project).history("spam")) == 1
        held = release(other_bundle, NO, "spam")
        assert release(other_bundle, NO, "spam") == held
        assert release(other_bundle, YES, "spam").at > held.at
    assert [entry.verdict for entry in Registry(project).history("spam")] == [
        "promote", "hold", "promote",
    ]  # fmt: skip
