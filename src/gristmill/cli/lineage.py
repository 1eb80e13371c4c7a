"""`gristmill lineage`: where did this come from?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.core.errors import UsageError
from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_count

if TYPE_CHECKING:
    from gristmill.store.identity import Reference
    from gristmill.store.lineage import Relative
    from gristmill.store.registry import ModelVersion, Registry
    from gristmill.store.runs import RunLog


Standing = dict[str, list[str]]
"""Digest of a bundle -> what became of it: lines of text."""

_DEEPEST = 16
"""Levels that are drawn by indentation; beyond that the level is a number."""


@click.command("lineage", context_settings=HELP)
@click.argument("id_", metavar="ID")
@click.option("--down", is_flag=True, help="The other way: all that was made from it.")
@click.option(
    "--served",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Where a server keeps the predictions of a model.",
)
@json_option
def command(id_: str, down: bool, served: Path | None, as_json: bool) -> None:
    """Trace a prediction, a label, a bundle or any artifact back to its data.

    \b
    ID is one of
      p3f2a91c0-77aa01bc-4021   a prediction, as `predict` and `serve` number them
      labels/4021               a row of a step's result: what it says and why
      train                     the newest result of a step
      spam@champion, spam@3     a registered model, by an alias or a version
      8d1c22                    an artifact, by the first digits of its digest

    The tree goes from the result to what it was made from, step by step, with the run and the code
    that made each; votes list their labelling functions with the fingerprints of their sources.
    With --down it goes from there to all that was made from it. Bundles say what they are
    registered as. With --served a prediction says what was asked and answered and what turned out
    to be true, and bundles say how many predictions they made.
    """
    from gristmill.store.identity import resolve
    from gristmill.store.lineage import ancestors, descendants
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project() as project:
        log = RunLog(project)
        reference = resolve(log, id_)
        kin = (descendants if down else ancestors)(log, reference.artifact.digest)
        about = list(_about_row(log, reference, id_)) if reference.row is not None else []
        if served is not None and reference.kind == "prediction":
            about += _as_served(served, id_)
        standing = _standing(log, kin, served)
        payload = {
            "id": id_,
            "about": about,
            "direction": "down" if down else "up",
            "artifacts": [_as_data(one, standing) for _, one in _once(kin)],
        }
        emit(payload, as_json, lambda: _show(id_, about, kin, standing))


def _about_row(log: RunLog, reference: Reference, id_: str) -> Iterator[str]:
    """Say what is known of the row that the id names."""
    if reference.kind == "prediction":
        yield f"prediction of row {reference.row} by the bundle {reference.artifact.digest[:12]}"
        yield from _answer(log, reference, id_)
        return
    value = log.load(reference.artifact.digest)
    if hasattr(value, "explain"):
        yield from str(value.explain(_row_id(reference.row or ""))).splitlines()
    elif hasattr(value, "columns") and hasattr(value, "filter"):
        yield from _table_row(value, reference.row or "", id_)
    elif not hasattr(value, "row_ids"):
        raise _no_such_row(id_, "its result is no table")


def _answer(log: RunLog, reference: Reference, id_: str) -> Iterator[str]:
    """Find what the bundle said, where one of this project's steps kept its answers."""
    import polars as pl

    from gristmill.store.lineage import made_from

    for execution in made_from(log, reference.artifact.digest):
        value = log.load(execution.output) if execution.output else None
        if isinstance(value, Path) and value.suffix == ".parquet":
            value = pl.read_parquet(value)
        if isinstance(value, pl.DataFrame) and "prediction_id" in value.columns:
            found = value.filter(pl.col("prediction_id") == id_)
            if found.height:
                row = found.row(0, named=True)
                yield ", ".join(f"{name} {row[name]}" for name in ("label", "prob") if name in row)
                yield f"kept by step {execution.step}, run {execution.run}"
                return


def _as_served(folder: Path, id_: str) -> Iterator[str]:
    """Say what was asked and answered, and what is known to be true of it."""
    from gristmill.serve.watch.kept_predictions import kept_predictions

    kept = next((each for each in kept_predictions(folder) if each.name == id_), None)
    if kept is None:
        yield f"not among the predictions that are kept in {folder}"
        return
    asked = ", ".join(f"{name} {value!s:.200}" for name, value in kept.inputs.items())
    told = ", ".join(f"{name} {value!s:.100}" for name, value in kept.answer.items())
    yield f"asked {format_moment(kept.at)}: {asked}"
    yield f"answered: {told}"
    if kept.truth is not None:
        who = f" by {kept.who}" if kept.who else ""
        when = f", told {format_moment(kept.told_at)}" if kept.told_at is not None else ""
        yield f"truth: {kept.truth}{when}{who}{' as a correction' if kept.correction else ''}"


def _standing(log: RunLog, kin: Relative, served: Path | None) -> Standing:
    """Say of each bundle what it is registered as, and how much it has answered."""
    from gristmill.store.registry import Registry

    bundles = {
        one.artifact.digest: str(one.artifact.summary.get("fingerprint"))
        for _, one in _once(kin)
        if one.artifact.kind == "bundle"
    }
    answered = Counter(_versions(served)) if served is not None and bundles else Counter()
    registry = Registry(log.project)
    found: Standing = {}
    for digest, fingerprint in bundles.items():
        found[digest] = [
            f"registered as {known.model} {known.version}, {_named_by(registry, known)}"
            for known in registry.versions_of(digest)
        ]
        if served is not None:
            count = format_count(answered[fingerprint])
            found[digest].append(f"answered {count} predictions that are kept in {served}")
    return found


def _named_by(registry: Registry, known: ModelVersion) -> str:
    """Say which aliases name a version, since when and by whose decision."""
    named = [
        f"{alias} since {format_moment(decision.at)} by {decision.author}"
        for alias, decision in registry.aliases(known.model).items()
        if decision.version == known.version
    ]
    return ", ".join(named) or "no alias names it"


def _versions(folder: Path) -> Iterator[str]:
    from gristmill.serve.watch.kept_predictions import kept_predictions

    return (each.version for each in kept_predictions(folder))


def _row_id(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _table_row(frame: Any, row: str, id_: str) -> Iterator[str]:
    import polars as pl

    from gristmill.data.table import ROW_ID

    if ROW_ID not in frame.columns:
        raise _no_such_row(id_, f"its table has no column {ROW_ID!r}")
    found = frame.filter(pl.col(ROW_ID).cast(pl.String) == row)
    if not found.height:
        raise _no_such_row(id_, f"none of its {frame.height:,} rows has this {ROW_ID}")
    for name, value in found.row(0, named=True).items():
        yield f"{name}: {value!s:.200}"


def _no_such_row(id_: str, why: str) -> UsageError:
    step = id_.rpartition("/")[0]
    return UsageError(f"there is no row {id_!r}: {why}", fix=f"`gristmill lineage {step}` has all")


def _show(id_: str, about: list[str], kin: Relative, standing: Standing) -> None:
    say(id_)
    for line in about:
        say(f"  {line}")
    for line in _tree(kin, standing):
        say(line)


def _once(kin: Relative) -> Iterator[tuple[int, Relative]]:
    """Yield everyone once, with the distance by the way that leads there first."""
    seen: set[str] = set()
    for depth, one, repeated in _walk(kin, seen):
        if not repeated:
            yield depth, one


def _walk(kin: Relative, seen: set[str]) -> Iterator[tuple[int, Relative, bool]]:
    """Yield everyone with the distance, and whether they came before; then not their relatives."""
    waiting = [(0, kin)]
    while waiting:
        depth, one = waiting.pop()
        repeated = one.artifact.digest in seen
        yield depth, one, repeated
        if not repeated:
            seen.add(one.artifact.digest)
            waiting += [(depth + 1, each) for each in reversed(one.relatives)]


def _tree(kin: Relative, standing: Standing) -> Iterator[str]:
    """Yield the lines of the tree; what appeared before is named, not drawn again."""
    for depth, one, repeated in _walk(kin, set()):
        indent = "  " * min(depth, _DEEPEST) + (f"[{depth}] " if depth > _DEEPEST else "")
        line = f"{indent}{one.name}  {one.artifact.digest[:12]}  "
        if repeated:
            yield f"{line}(see above)"
            continue
        yield line + _what(one)
        for detail in [*_details(one), *standing.get(one.artifact.digest, [])]:
            yield f"{indent}    {detail}"


def _what(one: Relative) -> str:
    artifact = one.artifact
    rows = f", {format_count(artifact.rows)} rows" if artifact.rows is not None else ""
    return f"{artifact.kind}{rows}"


def _details(one: Relative) -> Iterator[str]:
    from gristmill.store.codecs import told_by

    if one.execution is not None:
        count = len(one.execution.reach.get("parts", {}))
        code = "1 part of code" if count == 1 else f"{count} parts of code"
        yield f"step {one.execution.step}, run {one.execution.run}, {code}"
        paths = [Path(each).name for each in one.execution.reach.get("paths", {}).values()]
        if paths:
            yield f"reads {', '.join(paths)}"
    summary = one.artifact.summary
    for source in summary.get("sources") or []:
        if isinstance(source, dict) and "fingerprint" in source:
            yield f"- {source['name']:<18} {str(source['fingerprint'])[:12]}{_share(source)}"
    if told := told_by(summary):
        yield "told by " + ", ".join(f"{who} ({format_count(n)})" for who, n in told.items())
    metrics = summary.get("metrics")
    if isinstance(metrics, dict) and metrics:
        figures = [f"{name} {value:.3f}" for name, value in metrics.items() if _is_figure(value)]
        yield ", ".join(figures[:6])
    if one.artifact.kind == "verdict":
        yield f"{summary['verdict']}: {'; '.join(summary.get('reasons', []))}"


def _share(source: dict[str, Any]) -> str:
    coverage = source.get("coverage")
    return f"  votes on {coverage:.1%}" if _is_figure(coverage) else ""


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_data(one: Relative, standing: Standing) -> dict[str, Any]:
    artifact, execution = one.artifact, one.execution
    data: dict[str, Any] = {"name": one.name, "artifact": artifact.digest, "kind": artifact.kind}
    data |= {"rows": artifact.rows, "summary": artifact.summary}
    if execution is not None:
        data |= {"step": execution.step, "run": execution.run, "code": execution.reach}
    if one.artifact.digest in standing:
        data["standing"] = standing[one.artifact.digest]
    return data | {"relatives": [each.artifact.digest for each in one.relatives]}
