"""The page of a run that is exported: what `gristmill.web` draws of what the run has on record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_seconds

if TYPE_CHECKING:
    from gristmill.pipeline.provenance.exported import Exported
    from gristmill.store.runs import Execution, RunLog, RunRecord
    from gristmill.web.run_overview import Picture, StepRow

_MOST_PICTURES = 24


def write_page(log: RunLog, record: RunRecord, path: Path, exported: Exported) -> None:
    """Write the page of a run that is exported, beside its folder `provenance`."""
    from gristmill.web.run_overview import run_page

    executions = log.of_run(record.id)
    provenance = path.parent / "provenance"
    texts = {
        name: (provenance / name).read_text(errors="replace") if name in exported.told else ""
        for name in ("changes.patch", "requirements.txt")
    }
    told = record.environment
    seconds = record.ended - record.started if record.ended else None
    facts = [
        ("status", record.status),
        ("steps", len(executions)),
        ("took", format_seconds(seconds) if seconds is not None else None),
        ("Python", told.get("python")),
        ("Gristmill", told.get("gristmill")),
        ("commit", (told.get("commit") or "none")[:12]),
    ]
    page = run_page(
        f"{log.project.name}: run {record.id}",
        f"{record.pipeline}, {format_moment(record.started)}",
        facts,
        list(_rows(log, executions)),
        pictures=list(_pictures(log, executions)),
        changes=texts["changes.patch"],
        packages=texts["requirements.txt"],
    )
    page.write(path)


def _rows(log: RunLog, executions: list[Execution]) -> Iterator[StepRow]:
    from gristmill.pipeline.step_output import maker_of, printed_by
    from gristmill.web.run_overview import StepRow

    for each in executions:
        result = log.artifact(each.output) if each.output else None
        summary = result.summary if result else {}
        verdict = None
        if result is not None and result.kind == "verdict":
            verdict = str(summary["verdict"]), [str(one) for one in summary.get("reasons", [])]
        maker = maker_of(log, each)
        yield StepRow(
            each.step,
            each.status,
            maker.seconds,
            each.why if maker is each else f"up to date; made in run {maker.run}: {maker.why}",
            tuple(each.inputs),
            result.kind if result else "",
            result.rows if result else None,
            each.output or "",
            _figures(summary.get("metrics")),
            verdict,
            printed_by(log, each),
            each.message or "",
        )


def _figures(metrics: object) -> dict[str, float]:
    if not isinstance(metrics, dict):
        return {}
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, bool)}
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def _pictures(log: RunLog, executions: list[Execution]) -> Iterator[Picture]:
    """Yield the pictures among the results' files, the first ones of many."""
    from gristmill.web.run_overview import Picture, is_picture

    found = 0
    for each in executions:
        folder = log.files(each.output) if each.output else None
        for path in sorted(folder.rglob("*")) if folder else ():
            if is_picture(path.name) and found < _MOST_PICTURES:
                found += 1
                yield Picture(f"{each.step}: {path.name}", path.read_bytes())
