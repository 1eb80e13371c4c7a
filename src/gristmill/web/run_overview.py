"""The page of one run: what its steps did, why, what came out, and pictures of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from gristmill.core.quantities import format_bytes, format_seconds
from gristmill.web import blocks
from gristmill.web.layers import Edge
from gristmill.web.report import Report
from gristmill.web.sections.lineage import lineage_section

_PICTURE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_PICTURE_BYTES = 450_000
"""Of all pictures of a page together, before they are written as text."""
_LOG_SHOWN = 4_000
_LOGS_SHOWN = 60_000
_MOST_DRAWN = 60
_STATUS = {"done": "run", "stopped": "failed"}


class StepRow(NamedTuple):
    """One step of the run.

    Attributes:
        name: of the step.
        status: done, cached, failed, blocked or stopped.
        seconds: that it took, when it ran.
        why: it ran, or why not.
        needs: names of the steps whose results it took.
        kind: of its result; empty without one.
        rows: of its result.
        digest: of its result.
        metrics: figures that its result says of itself.
        verdict: promote, hold or reject, and the reasons, where it is a gate.
        text: what it printed.
        message: the error, of a failed one.
    """

    name: str
    status: str
    seconds: float
    why: str
    needs: Sequence[str] = ()
    kind: str = ""
    rows: int | None = None
    digest: str = ""
    metrics: Mapping[str, float] = {}
    verdict: tuple[str, Sequence[str]] | None = None
    text: str = ""
    message: str = ""


class Picture(NamedTuple):
    """A picture among the results: its name, with the step, and the file's bytes."""

    name: str
    data: bytes


def is_picture(name: str) -> bool:
    """Say whether a file of this name is a picture that a browser shows."""
    return any(name.lower().endswith(ending) for ending in _PICTURE_TYPES)


def run_page(
    title: str,
    subtitle: str,
    facts: Sequence[tuple[str, object]],
    steps: Sequence[StepRow],
    *,
    pictures: Sequence[Picture] = (),
    changes: str = "",
    packages: str = "",
) -> Report:
    """Return the page of a run, which is to be written.

    Args:
        title: heading.
        subtitle: the line under it.
        facts: (name, value) pairs above everything.
        steps: in the order in which they ran.
        pictures: among the results; those beyond 450 KB in all are named, not shown.
        changes: a patch with what was not committed.
        packages: requirements, one a line.
    """
    report = Report(title, subtitle)
    report.facts(facts)
    _add_graph(report, steps)
    _add_steps(report, steps)
    _add_metrics(report, steps)
    _add_gates(report, steps)
    _add_pictures(report, pictures)
    _add_output(report, steps)
    if changes:
        lead = "What of the code was not committed when the run began."
        report.section("Uncommitted changes", lead).code(changes)
    if packages:
        section = report.section("Environment", "What was installed where the run ran.")
        section.details("All packages", [blocks.code(packages)])
    return report


def _add_graph(report: Report, steps: Sequence[StepRow]) -> None:
    if not 1 < len(steps) <= _MOST_DRAWN:
        return
    names = {step.name for step in steps}
    nodes = [
        {
            "id": step.name,
            "kind": step.kind,
            "status": _STATUS.get(step.status, step.status),
            "detail": format_seconds(step.seconds) if step.status == "done" else step.status,
        }
        for step in steps
    ]
    edges: list[Edge] = [
        (need, step.name) for step in steps for need in step.needs if need in names
    ]
    lineage_section(report, nodes, edges, title="Graph", lead="Which step took what of which.")


def _add_steps(report: Report, steps: Sequence[StepRow]) -> None:
    columns = ["step", "status", "seconds", "why", "result", "rows", "digest"]
    rows = [
        [
            step.name,
            step.status,
            step.seconds if step.status in ("done", "cached", "failed") else None,
            step.message or step.why,
            step.kind,
            step.rows,
            step.digest[:12],
        ]
        for step in steps
    ]
    report.section("Steps", "What each did, and why.").table(columns, rows)


def _add_metrics(report: Report, steps: Sequence[StepRow]) -> None:
    rows = [[step.name, name, value] for step in steps for name, value in step.metrics.items()]
    if rows:
        lead = "What results say of their own quality."
        report.section("Figures", lead).table(["step", "figure", "value"], rows)


def _add_gates(report: Report, steps: Sequence[StepRow]) -> None:
    gates = [(step, step.verdict) for step in steps if step.verdict is not None]
    if not gates:
        return
    section = report.section("Gates", "What was let through, what was not, and the reasons.")
    for step, (verdict, reasons) in gates:
        section.facts([(step.name, verdict)])
        if reasons:
            section.text("\n".join(f"- {reason}" for reason in reasons))


def _add_pictures(report: Report, pictures: Sequence[Picture]) -> None:
    if not pictures:
        return
    section = report.section("Pictures", "From the results of steps.")
    room = _PICTURE_BYTES
    left_out = []
    for picture in pictures:
        if len(picture.data) > room:
            left_out.append([picture.name, format_bytes(len(picture.data))])
            continue
        room -= len(picture.data)
        section.figure(_image(picture), picture.name)
    if left_out:
        section.table(["too large for this page", "size"], left_out)


def _image(picture: Picture) -> Markup:
    """Return a picture that is part of the page; within `img` an SVG runs no script."""
    ending = next(end for end in _PICTURE_TYPES if picture.name.lower().endswith(end))
    data = base64.b64encode(picture.data).decode()
    source = f"data:{_PICTURE_TYPES[ending]};base64,{data}"
    return Markup('<img alt="{}" src="{}" width="100%">').format(escape(picture.name), source)


def _add_output(report: Report, steps: Sequence[StepRow]) -> None:
    room = _LOGS_SHOWN
    printed = [step for step in steps if step.text]
    if not printed:
        return
    section = report.section("Output", "What steps printed; of much, the end.")
    for step in printed:
        text = step.text[-min(_LOG_SHOWN, room) :] if room > 0 else ""
        room -= len(text)
        if text:
            section.details(step.name, [blocks.code(text)])
