"""One run of a project as a project of its own: its records and its artifacts, nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Table, insert, select

from gristmill.core.errors import StoreError
from gristmill.store import tables
from gristmill.store.codecs import files_of
from gristmill.store.enclosures import Enclosure, enclosures_of
from gristmill.store.gathered import GATHERED, read_gathered
from gristmill.store.lineage import ancestors
from gristmill.store.seals import DECISIONS, artifacts_of_versions, seal_anew

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gristmill.store.project import Project
    from gristmill.store.runs import Execution, RunLog

_AT_ONCE = 500


@dataclass(frozen=True)
class Excerpt:
    """What was copied.

    Attributes:
        artifacts: digest -> bytes.
        runs: ids of the runs whose records came along: the run, and those that made what it used.
    """

    artifacts: dict[str, int]
    runs: list[str]


def copy_run(log: RunLog, run: str, target: Project) -> Excerpt:
    """Copy a run into another project, which is new.

    The artifacts that the run read, gave and keeps beside are copied, each checked against its
    digest before and after. The records are those of the run and of all executions that led to it,
    however far back, so that lineage is whole; and what the registry says of its bundles.

    Args:
        log: the record of the project that has the run.
        run: the run's id.
        target: the new project, with its database and its artifacts in its own folder.

    Raises:
        StoreError: an artifact is gone or damaged, or cannot be written.
    """
    own = log.of_run(run)
    used = {digest for each in own for digest in _artifacts_of(each)}
    led = {each.id: each for digest in sorted(used) for each in _makers(log, digest)}
    enclosed = list(_enclosed(log, run, own, list(led.values())))
    kept = {each.artifact for each in enclosed}
    contents = dict.fromkeys(sorted(used | kept), 0)
    contents |= dict.fromkeys(_members(log, used), 0)
    for digest in contents:
        contents[digest] = _copy_artifact(log, digest, target)
    chain = {each.id: each for each in own} | led
    named = {digest for each in chain.values() for digest in _artifacts_of(each)}
    involved = list(dict.fromkeys([run, *(each.run for each in chain.values())]))
    _copy_records(log, target, involved, list(chain), named | set(contents), set(contents))
    if enclosed:
        with target.database.write() as written:
            written.execute(insert(tables.enclosures), [asdict(each) for each in enclosed])
    return Excerpt(contents, involved)


def _enclosed(
    log: RunLog, run: str, own: Sequence[Execution], led: Sequence[Execution]
) -> Iterator[Enclosure]:
    """Yield what belongs to the run, and what was printed by steps that it found up to date."""
    yield from enclosures_of(log, run)
    results = {each.output for each in own if each.status == "cached"}
    for maker in led:
        if maker.output in results and maker.run != run:
            yield from (each for each in enclosures_of(log, maker.run) if each.step == maker.step)


def _artifacts_of(execution: Execution) -> list[str]:
    found = list(execution.inputs.values())
    return [*found, execution.output] if execution.output else found


def _makers(log: RunLog, digest: str) -> Iterator[Execution]:
    seen = set()
    for _, one in ancestors(log, digest).walk():
        if one.artifact.digest not in seen:
            seen.add(one.artifact.digest)
            if one.execution is not None:
                yield one.execution


def _members(log: RunLog, digests: Iterable[str]) -> set[str]:
    """Return the artifacts that hold the members of those that were stored member by member."""
    return {
        member.artifact
        for digest in digests
        if log.artifact(digest).codec == GATHERED
        for member in read_gathered(log.files(digest)).members
    }


def _copy_artifact(log: RunLog, digest: str, target: Project) -> int:
    """Copy one artifact and return its bytes."""
    content, codec = log.files(digest), log.artifact(digest).codec
    with tempfile.TemporaryDirectory(dir=target.root, prefix=".") as name:
        copy = Path(name)
        for file, path in files_of(content, codec).items():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy / file)
        copied, bytes_ = target.artifacts.put(copy, codec)
    if copied != digest:
        raise StoreError(
            f"artifact {digest[:12]} changed while it was copied",
            where=str(content),
            fix="export again",
        )
    return bytes_


def _copy_records(
    log: RunLog,
    target: Project,
    involved: Sequence[str],
    chain: Sequence[int],
    named: Collection[str],
    held: Collection[str],
) -> None:
    """Copy rows; those that others refer to come first.

    Args:
        log: from here.
        target: to here.
        involved: ids of runs.
        chain: numbers of executions.
        named: digests of artifacts that these name.
        held: digests of artifacts that were copied.
    """
    copies: list[tuple[Table, ColumnElement[Any], Collection[Any]]] = [
        (tables.runs, tables.runs.c.id, involved),
        (tables.artifacts, tables.artifacts.c.digest, named),
        (tables.executions, tables.executions.c.id, chain),
        (tables.links, tables.links.c.execution, chain),
        (tables.elements, tables.elements.c.artifact, held),
        (tables.versions, tables.versions.c.artifact, held),
    ]
    with log.project.database.read() as source, target.database.write() as written:
        for table, column, values in copies:
            for some in _some_at_once(values):
                query = select(table).where(column.in_(some))
                rows = [dict(row) for row in source.execute(query).mappings()]
                if rows:
                    written.execute(insert(table), rows)
        _copy_decisions(source, written)


def _copy_decisions(source: Connection, written: Connection) -> None:
    """Copy what was decided about the versions that were copied, as a log of its own."""
    here = artifacts_of_versions(written)
    query = select(tables.promotions.c.id, *DECISIONS).order_by(tables.promotions.c.id)
    rows = map(dict, source.execute(query).mappings())
    known = [row for row in rows if (row["model"], row["version"]) in here]
    if known:
        written.execute(insert(tables.promotions), list(seal_anew(known, here)))


def _some_at_once(values: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(values)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some
