"""Keeps with a run what it ran: the user's code, what of that is not committed, the packages."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.redaction import redacted
from gristmill.pipeline.environment import git_commit, installed_packages
from gristmill.pipeline.provenance.git_changes import uncommitted
from gristmill.pipeline.provenance.snapshot import CODE, Snapshot, read_index
from gristmill.pipeline.secrets import hide_settings
from gristmill.store.codecs import Encoded
from gristmill.store.enclosures import (
    Role,
    enclose,
    find_enclosure,
    last_enclosure,
    put_files,
    runs_with,
)

if TYPE_CHECKING:
    from gristmill.pipeline.graph import Pipeline
    from gristmill.pipeline.run_record import RunResult
    from gristmill.store.runs import Artifact

REQUIREMENTS = "requirements.txt"
MACHINE = "machine.json"
PATCH = "changes.patch"


@contextmanager
def provenance_kept(result: RunResult, pipeline: Pipeline) -> Iterator[None]:
    """Keep with a run the code that it can reach, as it is now, and where it runs.

    What is imported only later, within steps, is added at the end; the next run knows of it.
    Content that the store has is not written again, and git is asked only about code that it was
    not asked about before.
    """
    hide_settings(value for step in pipeline.steps for value in step.settings.values())
    folder = pipeline.path.parent if pipeline.path else result.log.project.root
    snapshot = Snapshot(folder, pipeline.path.name if pipeline.path else pipeline.name)
    snapshot.see()
    last = last_enclosure(result.log, pipeline.name, "source")
    if last is not None and result.log.project.artifacts.exists(last.digest):
        snapshot.see_again(read_index(result.log.project.artifacts.get(last.digest)))
    _keep(result, snapshot)
    try:
        yield
    finally:
        parts = {
            part
            for execution in result.executions.values()
            for part in execution.reach.get("parts", {})
        }
        if snapshot.see(parts):
            _keep(result, snapshot)


def _keep(result: RunResult, snapshot: Snapshot) -> None:
    index = snapshot.index
    told = {"files": len(index.files), "skipped": index.skipped, "pipeline": index.pipeline}
    encoded = Encoded(f"path:{CODE}", "run source", len(index.files), told)
    source = put_files(result.log, snapshot.files, encoded)
    kept: dict[Role, Artifact] = {"source": source, "environment": _environment(result)}
    changes = _changes(result, snapshot, source)
    if changes is not None:
        kept["changes"] = changes
    enclose(result.log, result.run, "", kept)


def _environment(result: RunResult) -> Artifact:
    packages = installed_packages()
    lines = "".join(f"{name}=={version}\n" for name, version in packages.items())
    machine = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "executable": os.path.basename(sys.executable),  # noqa: PTH119 - no path of this machine
    }
    files = {
        REQUIREMENTS: lines.encode(),
        MACHINE: msgspec.json.format(msgspec.json.encode(machine), indent=2),
    }
    encoded = Encoded(f"path:{REQUIREMENTS}", "run environment", len(packages), machine)
    return put_files(result.log, files, encoded)


def _changes(result: RunResult, snapshot: Snapshot, source: Artifact) -> Artifact | None:
    """Return the patch from the commit to the snapshot; None without git, and where it is empty."""
    commit = git_commit(snapshot.folder)
    if commit is None:
        return None
    for run in runs_with(result.log, "source", source.digest):  # the same code: the same patch
        if run != result.run and result.log.run(run).environment.get("commit") == commit:
            known = find_enclosure(result.log, run, "changes")
            if known is None or result.log.project.artifacts.exists(known.digest):
                return known
    patch = redacted(uncommitted(snapshot.folder, commit, snapshot.sources, snapshot.contents))
    if not patch:
        return None
    summary = {"commit": commit, "lines": patch.count("\n")}
    encoded = Encoded(f"path:{PATCH}", "run changes", None, summary)
    return put_files(result.log, {PATCH: patch.encode()}, encoded)
