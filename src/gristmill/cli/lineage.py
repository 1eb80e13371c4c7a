"""`gristmill lineage`: where did this come from?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.core.quantities import format_count

if TYPE_CHECKING:
    from gristmill.store.identity import Reference
    from gristmill.store.lineage import Origin
    from gristmill.store.runs import RunLog


@click.command("lineage", context_settings=HELP)
@click.argument("id_", metavar="ID")
@json_option
def command(id_: str, as_json: bool) -> None:
    """Trace a prediction, a label, a bundle or any artifact back to its data.

    \b
    ID is one of
      p3f2a91c0-77aa01bc-4021   a prediction, as `predict` and `serve` number them
      labels/4021               a row of a step's result: what it says and why
      train                     the newest result of a step
      8d1c22                    an artifact, by the first digits of its digest

    The tree goes from the result to what it was made from, step by step, with the run and the code
    that made each; votes list their labelling functions with the fingerprints of their sources.
    """
    from gristmill.store.identity import resolve
    from gristmill.store.lineage import trace
    from gristmill.store.project import find_project
    from gristmill.store.runs import RunLog

    with find_project() as project:
        log = RunLog(project)
        reference = resolve(log, id_)
        origin = trace(log, reference.artifact.digest)
        about = list(_about_row(log, reference, id_)) if reference.row is not None else []
        payload = {"id": id_, "about": about, "origin": _as_data(origin, set())}
        emit(payload, as_json, lambda: _show(id_, about, origin))


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
        yield from _table_row(value, reference.row or "")


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


def _row_id(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _table_row(frame: Any, row: str) -> Iterator[str]:
    import polars as pl

    from gristmill.data.table import ROW_ID

    if ROW_ID not in frame.columns:
        return
    found = frame.filter(pl.col(ROW_ID).cast(pl.String) == row)
    for name, value in (found.row(0, named=True) if found.height else {}).items():
        yield f"{name}: {value!s:.200}"


def _show(id_: str, about: list[str], origin: Origin) -> None:
    say(id_)
    for line in about:
        say(f"  {line}")
    for line in _tree(origin, "", set()):
        say(line)


def _tree(origin: Origin, indent: str, seen: set[str]) -> Iterator[str]:
    """Yield the lines of the tree; what appeared before is named, not drawn again."""
    digest = origin.artifact.digest
    if digest in seen:
        yield f"{indent}{origin.name}  {digest[:12]}  (see above)"
        return
    seen.add(digest)
    yield f"{indent}{origin.name}  {digest[:12]}  {_what(origin)}"
    for line in _details(origin):
        yield f"{indent}    {line}"
    for inner in origin.inputs:
        yield from _tree(inner, indent + "  ", seen)


def _what(origin: Origin) -> str:
    artifact = origin.artifact
    rows = f", {format_count(artifact.rows)} rows" if artifact.rows is not None else ""
    return f"{artifact.kind}{rows}"


def _details(origin: Origin) -> Iterator[str]:
    if origin.execution is not None:
        count = len(origin.execution.reach.get("parts", {}))
        code = "1 part of code" if count == 1 else f"{count} parts of code"
        yield f"step {origin.execution.step}, run {origin.execution.run}, {code}"
    summary = origin.artifact.summary
    for source in summary.get("sources") or []:
        if isinstance(source, dict) and "fingerprint" in source:
            yield f"- {source['name']:<18} {str(source['fingerprint'])[:12]}{_share(source)}"
    metrics = summary.get("metrics")
    if isinstance(metrics, dict) and metrics:
        figures = [f"{name} {value:.3f}" for name, value in metrics.items() if _is_figure(value)]
        yield ", ".join(figures[:6])
    if origin.artifact.kind == "verdict":
        yield f"{summary['verdict']}: {'; '.join(summary.get('reasons', []))}"


def _share(source: dict[str, Any]) -> str:
    coverage = source.get("coverage")
    return f"  votes on {coverage:.1%}" if _is_figure(coverage) else ""


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_data(origin: Origin, seen: set[str]) -> dict[str, Any]:
    artifact, execution = origin.artifact, origin.execution
    data: dict[str, Any] = {"name": origin.name, "artifact": artifact.digest, "kind": artifact.kind}
    if artifact.digest in seen:
        return data | {"repeated": True}
    seen.add(artifact.digest)
    data |= {"rows": artifact.rows, "summary": artifact.summary}
    if execution is not None:
        data |= {"step": execution.step, "run": execution.run, "code": execution.reach}
    return data | {"inputs": [_as_data(inner, seen) for inner in origin.inputs]}
