"""A run as one folder: a project that a colleague opens, reads, runs again and goes on with."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.atomic import atomic_file, atomic_folder, naming
from gristmill.core.errors import UsageError
from gristmill.pipeline.provenance.enclosing import MACHINE, PATCH, REQUIREMENTS
from gristmill.pipeline.provenance.exported import GIVEN, PAGE, PROVENANCE, Exported, readme
from gristmill.pipeline.provenance.snapshot import CODE, is_secret, read_index
from gristmill.pipeline.setting_paths import path_print
from gristmill.pipeline.step_output import printed_by
from gristmill.store.enclosures import Role, find_enclosure
from gristmill.store.excerpt import copy_run
from gristmill.store.project import SETTINGS, Project

if TYPE_CHECKING:
    from gristmill.store.runs import Execution, RunLog, RunRecord

README = "README.md"


def export_run(
    log: RunLog,
    record: RunRecord,
    place: Path,
    *,
    data: bool = True,
    zipped: bool = False,
    write_page: Callable[[Path, Exported], None] | None = None,
) -> Exported:
    """Write a run into a folder of its own: results, records, code, packages, logs.

    The folder is a project: its steps are up to date as long as code, packages and data are the
    same. It appears whole or not at all.

    Args:
        log: the record of the project that has the run.
        record: the run.
        place: the folder, which must not exist; with `zipped` the name of a zip file.
        data: whether files that settings name come along.
        zipped: write one zip file instead.
        write_page: writes a page to look at; told the path and what is exported.

    Raises:
        UsageError: there is something at `place`.
        StoreError: a result is no longer in the store, or damaged.
        OSError: the disk is full.
    """
    if place.exists():
        raise UsageError("there is something already", where=str(place), fix="name a new one")
    if not zipped:
        with atomic_folder(place, replace=False) as draft:
            return _fill(log, record, place, draft, data, write_page)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        draft = Path(scratch) / place.stem
        draft.mkdir()
        exported = _fill(log, record, place, draft, data, write_page)
        with atomic_file(place) as file, naming(place, draft):
            shutil.make_archive(str(file), "zip", scratch, place.stem)
            Path(f"{file}.zip").replace(file)
    return exported


def _fill(
    log: RunLog,
    record: RunRecord,
    place: Path,
    draft: Path,
    data: bool,
    write_page: Callable[[Path, Exported], None] | None,
) -> Exported:
    exported = Exported(place, record.id)
    executions = log.of_run(record.id)
    _write_source(log, record, draft, exported)
    if data:
        _copy_data(log.project.root, executions, draft, exported)
    (draft / SETTINGS).write_text(f"name = {json.dumps(log.project.name)}\n")
    with Project(draft) as target:
        copied = copy_run(log, record.id, target)
    exported.artifacts = len(copied.artifacts)
    exported.bytes_ += sum(copied.artifacts.values())
    write_provenance(log, record, draft / PROVENANCE, exported)
    if write_page is not None:
        write_page(draft / PAGE, exported)
    (draft / README).write_text(readme(log.project.name, record, exported))
    return exported


def _write_source(log: RunLog, record: RunRecord, draft: Path, exported: Exported) -> None:
    source = find_enclosure(log, record.id, "source")
    if source is None:
        exported.missing["the code"] = "this run was recorded before Gristmill kept it"
        return
    files = log.files(source.digest)
    index = read_index(files)
    exported.pipeline = index.pipeline if index.pipeline in index.files else ""
    for name in index.files:
        target = draft / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files / CODE / name, target)
    exported.missing |= index.skipped


def _copy_data(
    root: Path, executions: Sequence[Execution], draft: Path, exported: Exported
) -> None:
    """Copy what settings name by a path in the project, where it still is what the run read."""
    for execution in executions:
        prints = execution.reach.get("path_prints") or execution.reach.get("settings", {})
        for name, text in execution.reach.get("paths", {}).items():
            path = root / text
            if text in exported.data or prints.get(name) == "nothing":
                continue
            if not path.exists():
                exported.missing[text] = "it is no longer there"
            elif path_print(path) != prints.get(name):
                exported.missing[text] = "it has changed since the run"
            elif not path.resolve().is_relative_to(root) or path.resolve() == root:
                exported.missing[text] = "it lies outside of the project's folder"
            elif is_secret(PurePosixPath(text)):
                exported.missing[text] = "its name says that it may hold secrets"
            else:
                place = path.resolve().relative_to(root)
                exported.bytes_ += _copy(path, draft / place)
                exported.data[text] = place.as_posix()


def _copy(source: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    shutil.copyfile(source, target)
    return target.stat().st_size


def write_provenance(log: RunLog, record: RunRecord, folder: Path, exported: Exported) -> None:
    """Write what is to be read of a run into a new folder: packages, patch, logs, records."""
    executions = log.of_run(record.id)
    folder.mkdir()
    enclosed: dict[Role, tuple[str, ...]] = {
        "environment": (REQUIREMENTS, MACHINE),
        "changes": (PATCH,),
    }
    for role, names in enclosed.items():
        kept = find_enclosure(log, record.id, role)
        if kept is not None:
            for name in names:
                shutil.copyfile(log.files(kept.digest) / name, folder / name)
                exported.told.append(name)
    (folder / "logs").mkdir()
    for number, execution in enumerate(executions, 1):
        text = printed_by(log, execution)
        if text:
            safe = "".join(sign if sign.isalnum() else "_" for sign in execution.step)
            (folder / "logs" / f"{number:02d}_{safe}.txt").write_text(text)
    exported.given = {
        each.step: each.reach["given"] for each in executions if each.reach.get("given")
    }
    if exported.given:
        (folder / Path(GIVEN).name).write_text(json.dumps(exported.given, indent=2))
    told = msgspec.json.encode({"run": record, "steps": executions})
    (folder / "run.json").write_bytes(msgspec.json.format(told, indent=2))
