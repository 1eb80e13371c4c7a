"""Versions never change, decisions are only added, and the live model follows from the log."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gristmill.core.errors import UsageError
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog


def test_versions_count_up_and_one_artifact_has_one_version(project: Project) -> None:
    log, registry = RunLog(project), Registry(project)
    one, two = log.keep("one").digest, log.keep("two").digest
    assert registry.register("spam", one).version == 1
    assert registry.register("spam", two).version == 2
    assert registry.register("spam", one).version == 1
    assert registry.register("other", two).version == 1
    assert registry.models() == ["other", "spam"]
    assert [known.artifact for known in registry.versions("spam")] == [one, two]


def test_the_live_version_is_the_last_promoted_and_a_rollback_is_one_more_line(
    project: Project,
) -> None:
    log, registry = RunLog(project), Registry(project)
    for name in ("one", "two", "three"):
        registry.register("spam", log.keep(name).digest)
    assert registry.live("spam") is None
    registry.decide("spam", 1, "promote", ["first"], author="ada")
    registry.decide("spam", 2, "promote", ["better"], author="ada")
    registry.decide("spam", 3, "reject", ["worse"], author="ada")
    live = registry.live("spam")
    assert live is not None
    assert live.version == 2
    registry.decide("spam", 1, "promote", ["roll back"], author="bob")
    live = registry.live("spam")
    assert live is not None
    assert live.version == 1
    history = [(entry.version, entry.verdict, entry.author) for entry in registry.history("spam")]
    assert history == [
        (1, "promote", "ada"),
        (2, "promote", "ada"),
        (3, "reject", "ada"),
        (1, "promote", "bob"),
    ]


def test_a_decision_needs_a_known_verdict_and_version(project: Project) -> None:
    registry = Registry(project)
    with pytest.raises(UsageError, match="expected one of promote, hold, reject, rollback, found"):
        registry.decide("spam", 1, "bless", [])
    with pytest.raises(UsageError, match="there is no model 'spam'"):
        registry.decide("spam", 1, "promote", [])


def test_two_who_register_at_once_get_two_versions(
    project: Project, reopen: Callable[[], Project]
) -> None:
    log = RunLog(project)
    digests = [log.keep(str(number)).digest for number in range(12)]

    def register(digest: str) -> int:
        with reopen() as mine:
            return Registry(mine).register("spam", digest).version

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(register, digests))
    assert sorted(versions) == list(range(1, 13))


def promoted(registry: Registry, log: RunLog, count: int) -> None:
    for number in range(1, count + 1):
        registry.register("spam", log.keep(f"model {number}").digest)
        registry.decide("spam", number, "promote", [f"better than {number - 1}"], author="gate")


def named(registry: Registry, alias: str = "champion", at: float | None = None) -> int | None:
    live = registry.live("spam", alias, at=at)
    return live and live.version


def test_an_alias_is_promoted_alone_and_says_what_it_replaced(project: Project) -> None:
    log, registry = RunLog(project), Registry(project)
    promoted(registry, log, 2)
    told = registry.decide("spam", 1, "promote", ["for the canary"], alias="candidate")
    assert (told.replaced, named(registry), named(registry, "candidate")) == (None, 2, 1)
    told = registry.decide("spam", 2, "promote", ["try"], alias="candidate", evidence={"f1": 0.9})
    assert told.replaced == 1
    held = registry.decide("spam", 1, "hold", ["noise"], alias="candidate")
    assert (held.replaced, named(registry, "candidate")) == (None, 2)
    assert registry.history("spam")[-2:] == [told, held]
    with pytest.raises(UsageError, match="expected an alias such as 'champion', found '7'"):
        registry.decide("spam", 1, "promote", [], alias="7")


def test_rollbacks_go_back_one_by_one_and_never_swing(project: Project) -> None:
    log, registry = RunLog(project), Registry(project)
    promoted(registry, log, 3)
    told = registry.roll_back("spam", reason="complaints", author="ada")
    assert (told.version, told.replaced, told.reasons) == (
        2,
        3,
        ["back from version 3: complaints"],
    )
    assert registry.roll_back("spam").version == 1
    with pytest.raises(UsageError, match="'champion' of 'spam' never named an earlier version"):
        registry.roll_back("spam")
    registry.decide("spam", 3, "promote", ["mended"])
    assert registry.roll_back("spam").version == 1


def test_what_was_live_at_a_moment_can_be_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, registry = RunLog(project), Registry(project)
    for day, version in ((1, 1), (3, 2)):
        monkeypatch.setattr("time.time", lambda day=day: 86_400.0 * day)
        registry.register("spam", log.keep(f"model {version}").digest)
        registry.decide("spam", version, "promote", ["better"])
    asked = [named(registry, at=86_400.0 * day) for day in (0.5, 1, 2.9, 3, 9)]
    assert asked == [None, 1, 1, 2, 2]


def test_two_who_roll_back_at_once_go_back_by_two(
    project: Project, reopen: Callable[[], Project]
) -> None:
    log, registry = RunLog(project), Registry(project)
    promoted(registry, log, 5)

    def roll_back(_: int) -> int:
        with reopen() as mine:
            return Registry(mine).roll_back("spam").version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(roll_back, range(4))) == [1, 2, 3, 4]
    assert named(registry) == 1


def test_a_decision_stands_until_another_follows(project: Project) -> None:
    registry = Registry(project)
    for value in (1, 2):
        registry.register("m", RunLog(project).keep([value]).digest)
    words = ("m", 1, "promote", ["better"])
    assert registry.standing(*words) is None
    made = registry.decide(*words, evidence={"gain": [1, 2.5], "more": 3})
    assert registry.standing(*words) == made
    assert registry.standing(*words, evidence={"gain": (1, 2.5)}) == made
    assert registry.standing(*words, evidence={"gain": [1, 2]}) is None
    assert registry.standing(*words, alias="other") is None
    assert registry.standing("m", 2, "promote", ["better"]) is None
    registry.decide("m", 2, "hold", ["no"])
    assert registry.standing(*words) is None


def test_a_version_promoted_twice_is_gone_back_from_once(project: Project) -> None:
    registry = Registry(project)
    for value in (1, 2):
        registry.register("m", RunLog(project).keep([value]).digest)
    for version in (1, 2, 2):
        registry.decide("m", version, "promote", [])
    assert registry.roll_back("m").version == 1
