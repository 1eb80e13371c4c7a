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
    with pytest.raises(UsageError, match="expected promote, hold or reject, found 'bless'"):
        registry.decide("spam", 1, "bless", [])
    with pytest.raises(UsageError, match="model 'spam' has no version 1"):
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
