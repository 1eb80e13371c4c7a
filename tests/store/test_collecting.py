"""What nothing refers to goes; everything else stays, whoever refers to it and however."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import StoreError, UsageError
from gristmill.store.collecting import IN_USE, collect, find_garbage
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import Execution, RunLog

OLD = time.time() - 90 * 86_400


def old_run(
    project: Project, value: str, *, inputs: dict[str, str] | None = None, pipeline: str = "p"
) -> str:
    """A run of long ago with one step; returns the digest of its result."""
    log = RunLog(project)
    run = log.start(pipeline, {})
    digest = log.keep(value).digest
    log.record(
        Execution(0, run, "step", value, "done", "", {}, OLD, 0.0, None, inputs or {}, digest),
        pipeline,
    )
    log.finish(run, "done")
    with project.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET started = {OLD}, ended = {OLD}")
    age(project, digest)
    return digest


def age(project: Project, digest: str, at: float = OLD) -> None:
    """Make an artifact one that was stored at that time."""
    content = project.artifacts.get(digest)
    for path in (content, content.with_name(f"{digest}.json")):
        os.utime(path, (at, at))


@pytest.fixture
def project(tmp_path: Path):
    with Project(tmp_path) as opened:
        yield opened


def left(project: Project) -> set[str]:
    return {each.digest for each in project.artifacts.stored()}


def test_results_of_old_runs_go_and_those_of_the_newest_stay(project) -> None:
    made = [old_run(project, str(number)) for number in range(4)]
    with project.database.write() as connection:  # the older, the smaller its number
        for age_rank, digest in enumerate(made):
            connection.exec_driver_sql(
                f"UPDATE runs SET started = {OLD + age_rank} WHERE id IN (SELECT e.run FROM "
                f"executions e JOIN links l ON l.execution = e.id WHERE l.artifact = '{digest}')"
            )
    seen = collect(project, keep_runs=2, dry_run=True)
    assert set(seen.artifacts) == set(made[:2])
    assert left(project) == set(made)
    gone = collect(project, keep_runs=2)
    assert (set(gone.artifacts), gone.kept) == (set(made[:2]), 2)
    assert gone.bytes_ > 0
    assert left(project) == set(made[2:])
    assert RunLog(project).artifact(made[0]).digest == made[0]  # the record stays
    with pytest.raises(StoreError, match="is not in the store"):
        RunLog(project).load(made[0])


def test_inputs_models_and_what_was_kept_by_hand_stay(project) -> None:
    source = old_run(project, "source")
    model = old_run(project, "model")
    by_hand = RunLog(project).keep("by hand").digest
    age(project, by_hand)
    Registry(project).register("spam", model)
    user = old_run(project, "result", inputs={"source": source})
    lost = old_run(project, "lost")
    with project.database.write() as connection:
        connection.exec_driver_sql(
            f"UPDATE runs SET started = {time.time()} WHERE id IN (SELECT e.run FROM executions e "
            f"JOIN links l ON l.execution = e.id WHERE l.artifact = '{user}')"
        )
    assert set(collect(project, keep_runs=0).artifacts) == {lost}
    assert left(project) == {source, model, by_hand, user}


def test_what_was_just_written_stays(project) -> None:
    digest = old_run(project, "old")
    age(project, digest, time.time())
    assert collect(project, keep_runs=0).artifacts == {}


def test_what_a_killed_store_left_half_written_goes(project) -> None:
    half = project.home / "artifacts" / "ab" / ("ab" + "0" * 30)
    (half / "files").mkdir(parents=True)
    os.utime(half, (OLD, OLD))
    draft = project.work_folder("drafts") / "tmp1"
    draft.mkdir()
    on_its_way, recent = (half.parent / f".{half.name}.{each}.tmp" for each in ("0a", "0b"))
    on_its_way.touch()
    recent.touch()
    os.utime(draft, (OLD, OLD))
    os.utime(on_its_way, (OLD, OLD))
    found = collect(project)
    assert set(found.artifacts) == {half.name}
    assert found.leftovers == [draft, on_its_way]
    assert not half.exists()
    assert not draft.exists()
    assert not on_its_way.exists()
    assert recent.exists()


def test_nothing_is_collected_while_a_run_goes_on(project) -> None:
    old_run(project, "old")
    with (
        project.lock(IN_USE, shared=True),
        project.lock(IN_USE, shared=True),
        pytest.raises(StoreError, match="a run is going on"),
    ):
        collect(project, keep_runs=0)
    assert len(collect(project, keep_runs=0).artifacts) == 1


def test_numbers_below_zero_are_refused(project) -> None:
    with pytest.raises(UsageError, match="expected numbers of at least 0, found -1 and 30"):
        find_garbage(project, keep_runs=-1)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 4), max_size=2)), max_size=8),
    st.integers(0, 4),
    st.sets(st.integers(0, 4), max_size=2),
)
def test_what_is_referenced_is_never_removed(tmp_path_factory, made, keep_runs, registered) -> None:
    with Project(tmp_path_factory.mktemp("gc")) as project:
        log, registry = RunLog(project), Registry(project)
        digests = {number: log.keep(f"value {number}").digest for number in range(5)}
        wanted = {digests[number] for number in registered}
        used: set[str] = set()
        for number in registered:
            registry.register("m", digests[number])
        for place, (output, inputs) in enumerate(made):
            run = log.start("p", {})
            ties = {str(n): digests[n] for n in inputs}
            one = Execution(
                0, run, "s", str(place), "done", "", {}, OLD, 0.0, None, ties, digests[output]
            )
            log.record(one, "p")
            log.finish(run, "done")
            with project.database.write() as connection:
                connection.exec_driver_sql(
                    f"UPDATE runs SET started = {OLD + place} WHERE id = '{run}'"
                )
            named = {*ties.values(), digests[output]}
            used |= named
            if place >= len(made) - keep_runs:
                wanted |= named
        wanted |= set(digests.values()) - used  # stored by hand
        for digest in digests.values():
            age(project, digest)
        collect(project, keep_runs=keep_runs)
        assert left(project) == wanted
