"""The page of a validation: verdict first, findings ranked, then all features side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from gristmill.core.atomic import write_atomic
from gristmill.core.quantities import many
from gristmill.web import blocks
from gristmill.web.cells import column_cells
from gristmill.web.report import Section, content_policy
from gristmill.web.text import shorten
from gristmill.web.validation.feature_details import render_details
from gristmill.web.validation.feature_rows import render_row
from gristmill.web.validation.figures import Pair, pairs_of
from gristmill.web.validation.finding_cards import render_cards
from gristmill.web.validation.next_steps import next_steps
from gristmill.web.validation.packed import CHUNK, packed_details, packed_rows, sort_keys
from gristmill.web.validation.table_sections import table_sections

if TYPE_CHECKING:
    from gristmill.validate.checks.report import Report
    from gristmill.validate.schemas.schema import Schema
    from gristmill.validate.statistics.statistics import Statistics

MAX_WRITTEN = 150
"""Features whose rows are written out; more are packed and unpacked as they are scrolled to."""


@dataclass(frozen=True)
class Steps:
    """A list below the verdict; `code` stands in backticks."""

    heading: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """The band at the top: `tone` is "error", "warning" or "ok"."""

    tone: str
    sign: str
    headline: str
    detail: str


def write_validation_page(
    report: Report,
    path: str | Path,
    *,
    title: str | None = None,
    subtitle: str | None = None,
    steps: Steps | None = None,
    current: Statistics | None = None,
    baseline: Statistics | None = None,
    schema: Schema | None = None,
    when: datetime | None = None,
    saved_as: str | Path | None = None,
) -> Path:
    """Write what a check found as one file that needs nothing else, and return its path.

    The same content gives the same bytes. Up to 150 features every row is written out; of more,
    rows are compressed into the page and a script unpacks them as they are scrolled to.

    Args:
        report: what `check` returned.
        path: where to write.
        title: heading; "Validation of" the table by default.
        subtitle: the line below it; by default the names of both tables and the time.
        steps: what stands below the verdict; by default what a person would do next.
        current: statistics of what was checked; those of the report by default.
        baseline: statistics of the baseline; those of the report by default.
        schema: what was checked against; its units are shown.
        when: time of the check, shown as given.
        saved_as: where the report was saved; shown in the command that accepts an edit.
    """
    now = current if current is not None else report.current
    before = baseline if baseline is not None else report.before
    pairs = pairs_of(now, before, drift=report.drift, findings=report.findings, schema=schema)
    anchors = {pair.name: f"f{pair.place}" for pair in pairs}
    accept = f"gristmill validate accept {saved_as or 'REPORT'}" if report.edits else ""
    page = _render(
        title or f"Validation of {shorten(report.name, 80)}",
        subtitle or _subtitle(report.name, before, when),
        pairs,
        table_sections(now, before, report),
        verdict=_verdict(report),
        facts=_facts(report, now, before, pairs),
        steps=steps or Steps("What to do next", next_steps(report, saved_as)),
        cards=render_cards(report.findings, anchors, accept),
        finding_count=len(report.findings),
    )
    return _write(path, page)


def write_profile_page(
    statistics: Statistics,
    path: str | Path,
    baseline: Statistics | None = None,
    *,
    title: str | None = None,
    schema: Schema | None = None,
    when: datetime | None = None,
) -> Path:
    """Write statistics as one file that needs nothing else, and return its path.

    Args:
        statistics: of the table.
        path: where to write.
        baseline: statistics to lay beside them; distances are measured against it.
        title: heading; "Profile of" the table by default.
        schema: its units are shown.
        when: time of the profile, shown as given.
    """
    from gristmill.validate.drifts.drift import measure

    drift = []
    for name, feature in statistics.features.items():
        if baseline is not None and name in baseline.features:
            measured = measure(name, baseline.features[name], feature)
            drift += [measured] if measured is not None else []
    pairs = pairs_of(statistics, baseline, drift=drift, schema=schema)
    left_out = many(len(statistics.skipped), "part")
    page = _render(
        title or f"Profile of {shorten(statistics.name, 80)}",
        _subtitle(statistics.name, baseline, when)
        + (f" · without {left_out} that failed" if statistics.skipped else ""),
        pairs,
        table_sections(statistics, baseline),
        facts=_counts(statistics.rows, baseline, pairs),
    )
    return _write(path, page)


def _subtitle(name: str, baseline: Statistics | None, when: datetime | None) -> str:
    parts = [shorten(name, 80)]
    if baseline is not None:
        parts.append(f"beside baseline {shorten(baseline.name, 80)}")
    text = " ".join(parts)
    return f"{text} · {when:%Y-%m-%d %H:%M} {when.tzname() or ''}".strip() if when else text


def _verdict(report: Report) -> Verdict:
    found = [finding.severity for finding in report.findings]
    errors, warnings = found.count("error"), found.count("warning")
    told = [many(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    notes = found.count("info")
    detail = f"exit code {report.exit_code}"
    if notes:
        detail += f" · {many(notes, 'note')}"
    if not told:
        return Verdict("ok", "✓", "Nothing is wrong", detail)
    tone, sign = ("error", "✕") if errors else ("warning", "!")
    return Verdict(tone, sign, ", ".join(told), detail)


def _facts(
    report: Report, current: Statistics | None, baseline: Statistics | None, pairs: Sequence[Pair]
) -> list[tuple[str, str]]:
    rows = current.rows if current is not None else report.checked_rows
    facts = _counts(rows, baseline, pairs)
    bad = [("bad rows", f"{report.rows.height:,}")] if report.rows.height else []
    lines = report.unreadable.height
    return [*facts, *bad, *([("unreadable lines", f"{lines:,}")] if lines else [])]


def _counts(rows: int, baseline: Statistics | None, pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    before = [("baseline rows", f"{baseline.rows:,}")] if baseline is not None else []
    odd = sum(pair.suspicious for pair in pairs)
    return [
        ("rows", f"{rows:,}"),
        *before,
        ("features", f"{len(pairs):,}"),
        ("suspicious", f"{odd:,}"),
    ]


def _render(
    title: str,
    subtitle: str,
    pairs: Sequence[Pair],
    sections: Sequence[Section],
    *,
    facts: Sequence[tuple[str, str]],
    verdict: Verdict | None = None,
    steps: Steps | None = None,
    cards: Markup | None = None,
    finding_count: int = 0,
) -> str:
    style = blocks.asset("report.css") + blocks.asset("validation/page.css")
    script = blocks.asset("sort.js") + blocks.asset("validation/features.js")
    written = len(pairs) <= MAX_WRITTEN
    kinds = sorted({pair.kind for pair in pairs})
    return str(
        blocks.render(
            "validation/page",
            title=title,
            subtitle=subtitle,
            verdict=verdict,
            facts=[(name, column_cells([value])[0]) for name, value in facts],
            steps=steps,
            cards=cards,
            finding_count=finding_count,
            sections=sections,
            kinds=kinds,
            two=any(len(pair.sides) == 2 or pair.drift is not None for pair in pairs),
            total=len(pairs),
            rows=[_written(pair) for pair in pairs] if written else [],
            packed=None if written else packed_rows(pairs),
            details=[] if written else list(packed_details(pairs)),
            plain=[] if written else pairs,
            chunk=CHUNK,
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            policy=content_policy(style, script),
        )
    )


def _written(pair: Pair) -> tuple[tuple[object, ...], Markup, Markup]:
    return sort_keys(pair), render_row(pair), render_details(pair)


def _write(path: str | Path, page: str) -> Path:
    write_atomic(Path(path), page.encode())
    return Path(path)
