"""Garbage collection: what no kept run, no model and nobody else refers to is removed.

Only the content goes. Runs, executions and lineage stay on record; a step whose result is gone
runs again when it is needed, and says so.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from gristmill.core.errors import StoreError, UsageError
from gristmill.store.enclosures import KINDS
from gristmill.store.gathered import GATHERED, read_gathered
from gristmill.store.tables import (
    artifacts,
    elements,
    enclosures,
    executions,
    links,
    runs,
    versions,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.store.project import Project

IN_USE = "artifacts"
"""The lock that everyone who reads or writes artifacts for longer holds, shared."""
_DAY = 86_400.0
_FRESH_SECONDS = 3600.0
"""What was written since may belong to somebody who has not said so yet."""
_DEAD_RUN = 2 * _DAY
"""After so long a run of another machine that is not finished is taken for killed."""


@dataclass(frozen=True)
class Garbage:
    """What can go.

    Attributes:
        artifacts: digest -> bytes.
        kept: how many artifacts stay.
        leftovers: work folders of steps that no run is at, and locks of runs that are over.
    """

    artifacts: dict[str, int]
    kept: int
    leftovers: list[Path] = field(default_factory=list)

    @property
    def bytes_(self) -> int:
        """Bytes of the artifacts that can go."""
        return sum(self.artifacts.values())


def find_garbage(project: Project, *, keep_runs: int = 10, keep_days: float = 30.0) -> Garbage:
    """Find what nothing refers to.

    Kept are the inputs, results and enclosures of the newest `keep_runs` runs of each pipeline, of
    all runs of the last `keep_days` days and of those that are going on; the bundles of all
    registered models; what was stored without a run; the members of all these; and whatever was
    written within the last hour.

    Args:
        project: whose artifacts.
        keep_runs: how many runs of each pipeline.
        keep_days: how far back.

    Raises:
        UsageError: a number is below 0.
    """
    if keep_runs < 0 or keep_days < 0:
        raise UsageError(f"expected numbers of at least 0, found {keep_runs} and {keep_days:g}")
    now = time.time()
    known = _sizes(project)
    wanted = _wanted(project, _kept_runs(project, keep_runs, now - keep_days * _DAY))
    wanted |= _members(project, wanted)
    garbage: dict[str, int] = {}
    kept = 0
    for digest, written in project.artifacts.stored():
        if digest in wanted or written > now - _FRESH_SECONDS:
            kept += 1
        else:
            garbage[digest] = known.get(digest, 0)
    return Garbage(garbage, kept, list(_leftovers(project, now)))


def collect(
    project: Project, *, keep_runs: int = 10, keep_days: float = 30.0, dry_run: bool = False
) -> Garbage:
    """Remove what nothing refers to, while no run is going on; return what it was.

    Args:
        project: whose artifacts.
        keep_runs: see `find_garbage`.
        keep_days: see `find_garbage`.
        dry_run: only look.

    Raises:
        StoreError: a run is going on.
        UsageError: a number is below 0.
    """
    if dry_run:
        return find_garbage(project, keep_runs=keep_runs, keep_days=keep_days)
    try:
        with project.lock(IN_USE, wait=False):
            _check_quiet(project)
            found = find_garbage(project, keep_runs=keep_runs, keep_days=keep_days)
            project.artifacts.remove(sorted(found.artifacts))
            for path in found.leftovers:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise _busy() from error
    return found


def _check_quiet(project: Project) -> None:
    """Make sure that no other machine runs here, whose locks cannot be seen."""
    if not project.settings.database:
        return
    alive = (runs.c.status == "running") & (runs.c.started > time.time() - _DEAD_RUN)
    with project.database.read() as connection:
        if connection.execute(select(runs.c.id).where(alive).limit(1)).first() is not None:
            raise _busy()


def _busy() -> StoreError:
    return StoreError(
        "a run is going on in this project",
        fix="collect when it has ended; `--dry-run` says now what would go",
    )


def _sizes(project: Project) -> dict[str, int]:
    query = select(artifacts.c.digest, artifacts.c.bytes)
    with project.database.read() as connection:
        return {digest: size for digest, size in connection.execute(query)}  # noqa: C416 - rows


def _kept_runs(project: Project, newest: int, since: float) -> set[str]:
    query = select(runs.c.id, runs.c.pipeline, runs.c.started, runs.c.status).order_by(
        runs.c.started.desc()
    )
    kept: set[str] = set()
    counted: dict[str, int] = {}
    with project.database.read() as connection:
        for run, pipeline, started, status in connection.execute(query):
            counted[pipeline] = counted.get(pipeline, 0) + 1
            alive = status == "running" and project.is_locked(f"run-{run}")
            if counted[pipeline] <= newest or started >= since or alive:
                kept.add(run)
    return kept


def _wanted(project: Project, kept: set[str]) -> set[str]:
    """Return the digests that kept runs and models name, and those that no run names at all."""
    ties = select(links.c.artifact, executions.c.run).join(
        executions, links.c.execution == executions.c.id
    )
    wanted: set[str] = set()
    tied: set[str] = set()
    with project.database.read() as connection:
        for digest, run in connection.execute(ties):
            tied.add(digest)
            if run in kept:
                wanted.add(digest)
        for table in (elements, enclosures):
            for digest, run in connection.execute(select(table.c.artifact, table.c.run)):
                tied.add(digest)
                if run in kept:
                    wanted.add(digest)
        wanted |= set(connection.execute(select(versions.c.artifact)).scalars())
        by_hand = select(artifacts.c.digest).where(artifacts.c.kind.not_in(KINDS))
        wanted |= set(connection.execute(by_hand).scalars()) - tied
    return wanted


def _members(project: Project, wanted: set[str]) -> set[str]:
    """Return the artifacts that hold the members of those that were stored member by member."""
    query = select(artifacts.c.digest).where(artifacts.c.codec == GATHERED)
    with project.database.read() as connection:
        gathered = wanted & set(connection.execute(query).scalars())
    return {
        member.artifact
        for digest in gathered
        if project.artifacts.exists(digest)
        for member in read_gathered(project.artifacts.get(digest)).members
    }


def _leftovers(project: Project, now: float) -> Iterator[Path]:
    """Yield what killed runs left behind: drafts of artifacts, output, locks that nobody holds.

    The work folders of steps stay: a killed training goes on from there.
    """
    work, locks = project.home / "work", project.home / "locks"
    for path in (*_within(work / "drafts"), *project.artifacts.drafts()):
        if _is_older(path, now - _FRESH_SECONDS):
            yield path
    for path in _within(work / "output"):
        if _is_older(path, now - _DAY) and not project.is_locked(f"run-{path.name}"):
            yield path
    for path in _within(locks):
        is_of_a_step = path.name.startswith("step-")
        if is_of_a_step and _is_older(path, now - _DAY) and not project.is_locked(path.name):
            yield path


def _within(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _is_older(path: Path, moment: float) -> bool:
    """Say whether a path was last written before a moment; not if it has just gone."""
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False
