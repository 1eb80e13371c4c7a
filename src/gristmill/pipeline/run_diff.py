"""What is different between two runs: settings, code, packages, data, results and their figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.store.codecs import told_by

if TYPE_CHECKING:
    from gristmill.store.runs import Artifact, Execution, RunLog, RunRecord

_ABSENT = "(absent)"
_FIGURES = ("metrics", "verdict")
_ENVIRONMENT = ("python", "commit", "platform", "gristmill")


class Change(msgspec.Struct, frozen=True):
    """One thing that is not the same.

    Attributes:
        what: `setting`, `data` (what is at a setting's path), `code`, `package`, `input`,
            `result`, `figure`, `labels` or `status`.
        name: of the setting, path, function, package, input or figure.
        before: in the first run.
        after: in the second.
    """

    what: str
    name: str
    before: Any
    after: Any


class StepDiff(msgspec.Struct, frozen=True):
    """What is different in one step; nothing in `changes` if all is the same."""

    step: str
    changes: list[Change]


class RunDiff(msgspec.Struct, frozen=True):
    """What is different between two runs.

    Attributes:
        first: id of the first run.
        second: id of the second.
        environment: what differs in where they ran.
        steps: those that differ, in the order of the second run.
        same: names of the steps that do not.
    """

    first: str
    second: str
    environment: list[Change]
    steps: list[StepDiff]
    same: list[str]


def diff_runs(log: RunLog, first: RunRecord, second: RunRecord) -> RunDiff:
    """Compare two runs, step by step."""
    before, after = ({e.step: e for e in log.of_run(run.id)} for run in (first, second))
    names = [*after, *(name for name in before if name not in after)]
    compared = [
        StepDiff(name, list(_changes(log, before.get(name), after.get(name)))) for name in names
    ]
    return RunDiff(
        first.id,
        second.id,
        list(_pairs("environment", *(_known(run.environment) for run in (first, second)))),
        [each for each in compared if each.changes],
        [each.step for each in compared if not each.changes],
    )


def _known(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: environment[name] for name in _ENVIRONMENT if name in environment}


def _changes(log: RunLog, one: Execution | None, two: Execution | None) -> Iterator[Change]:
    if one is None or two is None:
        statuses = (_ABSENT if each is None else each.status for each in (one, two))
        yield Change("status", "status", *statuses)
        return
    if _outcome(one) != _outcome(two):
        yield Change("status", "status", one.message or one.status, two.message or two.status)
    yield from _settings(one.reach, two.reach)
    for what, key in (("code", "parts"), ("package", "packages")):
        yield from _pairs(what, one.reach.get(key, {}), two.reach.get(key, {}))
    yield from _pairs("input", one.inputs, two.inputs)
    if one.output != two.output:
        yield from _results(log, one.output, two.output)


def _settings(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[Change]:
    """Say which settings count as others: paths count by what is there, wherever that lies."""
    prints, others = one.get("settings", {}), two.get("settings", {})
    counted = {name for name in {*prints, *others} if prints.get(name) != others.get(name)}
    shown, shown_after = (
        {name: value for name, value in each.get("shown", {}).items() if name in counted}
        for each in (one, two)
    )
    yield from _pairs("setting", shown, shown_after)
    paths, paths_after = one.get("paths", {}), two.get("paths", {})
    same = [place for place in paths if paths_after.get(place) == paths[place]]
    content, content_after = (
        {f"{place} ({paths[place]})": each["path_prints"][place] for place in same}
        for each in (one, two)
    )
    yield from _pairs("data", content, content_after)


def _outcome(execution: Execution) -> str:
    """Return how a step ended, whether its result was there already or not."""
    return "done" if execution.status == "cached" else execution.status


def _results(log: RunLog, one: str | None, two: str | None) -> Iterator[Change]:
    yield Change("result", "result", one or _ABSENT, two or _ABSENT)
    if one is None or two is None:
        return
    before, after = log.artifact(one), log.artifact(two)
    if before.rows != after.rows:
        yield Change("figure", "rows", before.rows, after.rows)
    yield from _pairs("figure", _figures(before), _figures(after))
    if before.kind == after.kind == "labels":
        yield from _labels(log, one, two)


def _figures(artifact: Artifact) -> dict[str, Any]:
    """Return what an artifact says of its own quality."""
    found: dict[str, Any] = {}
    for name in _FIGURES:
        said = artifact.summary.get(name)
        found |= said if isinstance(said, dict) else {} if said is None else {name: said}
    return found | {f"told by {who}": rows for who, rows in told_by(artifact.summary).items()}


def _labels(log: RunLog, one: str, two: str) -> Iterator[Change]:
    """Say how many rows have another label; nothing where labels are no longer stored."""
    if not all(log.project.artifacts.exists(digest) for digest in (one, two)):
        return
    import polars as pl

    from gristmill.data.table import ROW_ID

    before, after = (log.load(digest).table.select(ROW_ID, "label") for digest in (one, two))  # type: ignore[attr-defined]
    both = before.join(after, on=ROW_ID, how="inner", suffix="_after")
    changed = both.filter(pl.col("label").ne_missing(pl.col("label_after"))).height
    yield Change("labels", "rows with another label", 0, changed)
    if both.height < max(before.height, after.height):
        gone, new = before.height - both.height, after.height - both.height
        yield Change("labels", "rows only in one", gone, new)


def _pairs(what: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*one, *two}):
        before, after = one.get(name, _ABSENT), two.get(name, _ABSENT)
        if before != after:
            yield Change(what, name, before, after)
