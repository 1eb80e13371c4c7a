"""What belongs to a run: kept with it, collected with it."""

from __future__ import annotations

import os
import time

import pytest

from gristmill.core.errors import StoreError
from gristmill.store.codecs import Encoded
from gristmill.store.collecting import collect
from gristmill.store.enclosures import (
    enclose,
    enclosures_of,
    find_enclosure,
    last_enclosure,
    put_files,
    runs_with,
)
from gristmill.store.project import Project
from gristmill.store.runs import Artifact, RunLog

OLD = time.time() - 90 * 86_400


def printed(log: RunLog, text: str) -> Artifact:
    return put_files(log, {"log.txt": text.encode()}, Encoded("path:log.txt", "step log", 1, {}))


def age(project: Project, run: str, *digests: str) -> None:
    with project.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET started = {OLD} WHERE id = '{run}'")
    for digest in digests:
        content = project.artifacts.get(digest)
        os.utime(content.with_name(f"{digest}.json"), (OLD, OLD))


def test_each_run_has_its_own_and_a_role_is_filled_once(project) -> None:
    log = RunLog(project)
    first, second = log.start("p", {}), log.start("p", {})
    one, two = printed(log, "one"), printed(log, "two")
    enclose(log, first, "a", {"log": one})
    enclose(log, first, "a", {"log": two})
    enclose(log, first, "", {"source": one, "changes": two})
    enclose(log, second, "a", {"log": one})
    kept = [(each.step, each.role, each.artifact) for each in enclosures_of(log, first)]
    assert kept == [
        ("", "changes", two.digest), ("", "source", one.digest), ("a", "log", two.digest)
    ]  # fmt: skip
    found = find_enclosure(log, second, "log", "a")
    assert found == one
    assert (log.files(found.digest) / "log.txt").read_text() == "one"
    assert find_enclosure(log, second, "source") is None
    assert runs_with(log, "source", one.digest) == [first]
    assert last_enclosure(log, "p", "source") == one
    assert last_enclosure(log, "q", "source") is None


def test_files_in_memory_are_stored_as_files_on_disk_are_and_once(project, tmp_path) -> None:
    log = RunLog(project)
    files = {"b/c.txt": b"c", "a.txt": b"aa"}
    encoded = Encoded("path:a.txt", "run source", 2, {})
    kept = put_files(log, files, encoded)
    written = {path.name: path.read_bytes() for path in log.files(kept.digest).rglob("*.txt")}
    assert written == {"c.txt": b"c", "a.txt": b"aa"}
    project.artifacts.put = lambda *_: pytest.fail("it was stored again")
    assert put_files(log, files, encoded) == kept


def test_gc_keeps_what_belongs_to_a_kept_run_and_nothing_of_others(project) -> None:
    log = RunLog(project)
    old, new = log.start("p", {}), log.start("p", {})
    gone, shared, replaced, stays = (printed(log, text) for text in ("g", "sh", "r", "st"))
    enclose(log, old, "a", {"log": gone})
    enclose(log, old, "", {"source": shared})
    enclose(log, new, "", {"source": replaced})
    enclose(log, new, "", {"source": shared})
    enclose(log, new, "a", {"log": stays})
    by_hand = log.keep("by hand")
    everything = [gone, shared, replaced, stays, by_hand]
    age(project, old, *(each.digest for each in everything))
    log.finish(old, "done")
    log.finish(new, "done")
    removed = collect(project, keep_runs=1)
    assert set(removed.artifacts) == {gone.digest, replaced.digest}
    assert [each.artifact for each in enclosures_of(log, old)] == [shared.digest, gone.digest]
    with pytest.raises(StoreError, match="not in the store"):
        log.files(gone.digest)


def test_gc_removes_the_output_that_killed_runs_left_and_no_other(project) -> None:
    log = RunLog(project)
    killed, alive, fresh = "20200101-000000-dead", log.start("p", {}), log.start("p", {})
    for run in (killed, alive, fresh):
        folder = project.home / "work" / "output" / run
        (folder / "a").mkdir(parents=True)
        if run != fresh:
            os.utime(folder, (OLD, OLD))
    with project.lock(f"run-{alive}"):
        found = collect(project, dry_run=True).leftovers
    assert [path.name for path in found] == [killed]
