"""Cards of findings: what is wrong, what it rests on, and the edit that would accept it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from gristmill.core.quantities import many
from gristmill.web import blocks
from gristmill.web.text import shorten
from gristmill.web.validation import numerals
from gristmill.web.validation.overlay import wide
from gristmill.web.validation.shared_bins import SharedBins, bins_of_drift

if TYPE_CHECKING:
    from gristmill.validate.checks.findings import Finding
    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.schemas.edit import Edit

SHOWN = 200
_ROWS = 12
_EXAMPLES = 8
_MOVED = 6
_DIFF_LINES = 12
_NOTHING: tuple[object, ...] = (None, "", 0, False, [], {})
_SIGNS = {"error": "✕", "warning": "!", "info": "i"}


@dataclass(frozen=True)
class Card:
    """What a template needs to write one finding."""

    severity: str
    sign: str
    code: str
    feature: str
    anchor: str
    message: str
    facts: list[tuple[str, str]]
    rows: list[str]
    more_rows: int
    examples: list[str]
    picture: Markup
    moved: list[tuple[str, str, str, str]]
    fix: str
    edit: list[tuple[str, str]]


def render_cards(findings: Sequence[Finding], anchors: Mapping[str, str], accept: str) -> Markup:
    """Write findings as cards, errors first, at most 200.

    Args:
        findings: of a report.
        anchors: feature -> the id of its row on the page.
        accept: the command that accepts an edit; empty where there is none to show.
    """
    order = {"error": 0, "warning": 1, "info": 2}
    ranked = sorted(findings, key=lambda one: order.get(one.severity, 3))
    return blocks.render(
        "validation/findings",
        cards=[card_of(one, anchors.get(one.feature or "", "")) for one in ranked[:SHOWN]],
        left_out=max(len(ranked) - SHOWN, 0),
        accept=accept,
    )


def card_of(finding: Finding, anchor: str = "") -> Card:
    """Lay out one finding; everything from the data is cut to a length that fits."""
    evidence = finding.evidence
    drift = evidence.distribution
    bins = bins_of_drift(drift) if drift is not None else None
    title = f"Distribution of {shorten(finding.feature or 'the table', 60)}"
    wanted = [str(row) for row in evidence.rows[:_ROWS]]
    return Card(
        severity=finding.severity,
        sign=_SIGNS.get(finding.severity, "i"),
        code=finding.code,
        feature=shorten(finding.feature or "", 120),
        anchor=anchor,
        message=shorten(finding.message, 600),
        facts=_facts(finding, drift),
        rows=[shorten(row, 40) for row in wanted],
        more_rows=max(evidence.count, len(evidence.rows)) - len(wanted) if wanted else 0,
        examples=[shorten(one, 120) or "“”" for one in evidence.examples[:_EXAMPLES]],
        picture=wide(bins, title, width=520) if bins is not None else Markup(""),
        moved=_moved(bins) if bins is not None else [],
        fix=shorten(finding.fix, 300),
        edit=edit_lines(finding.edit) if finding.edit is not None else [],
    )


def _facts(finding: Finding, drift: Drift | None) -> list[tuple[str, str]]:
    evidence = finding.evidence
    if drift is not None:
        return [
            ("distance", f"{drift.distance:.3f}"),
            ("matters from", f"{drift.threshold:g}"),
            ("chance reaches", f"{drift.floor:.3f}"),
            ("rows that moved", numerals.percent(drift.moved)),
        ]
    if not evidence.count:
        return []
    about = numerals.count(evidence.count, exact=evidence.exact)
    if not evidence.total:
        return [("count", about)]
    share = numerals.share(evidence.count, evidence.total)
    return [("affected", f"{about} of {evidence.total:,}"), ("share", share)]


def _moved(bins: SharedBins) -> list[tuple[str, str, str, str]]:
    """Return (bin, before, after, change) of the bins that moved most."""
    old, new = bins.baseline or [], bins.current or []
    return [
        (
            shorten(bins.names[at], 48),
            numerals.percent(old[at]),
            numerals.percent(new[at]),
            f"{'▲' if new[at] > old[at] else '▼'} {abs(new[at] - old[at]) * 100:.1f}",
        )
        for at in bins.moved(most=_MOVED, least=0.002)
    ]


def edit_lines(edit: Edit) -> list[tuple[str, str]]:
    """Spell an edit as lines of a diff: (sign, text) with the signs " ", "-", "+".

    Lists are told by what goes and what comes, since hundreds of values say nothing.
    """
    place = "table" if edit.feature is None else f"features.{edit.feature}"
    lines = [(" ", f"[{shorten(place, 90)}]")]
    old, new = _plain(edit.old), _plain(edit.new)
    if isinstance(old, list) and isinstance(new, list):
        gone = [("-", f"  {_spelled(one)}") for one in old if one not in new]
        come = [("+", f"  {_spelled(one)}") for one in new if one not in old]
        kept = sum(one in old for one in new)
        note = f"{edit.key} = [ … {many(kept, 'value')} as before … ]"
        return _cut([*lines, (" ", note), *gone, *come])
    if not edit.key and isinstance(new, dict):
        known = {name: value for name, value in new.items() if value not in _NOTHING}
        return _cut(
            [("+", lines[0][1]), *(("+", f"{name} = {_spelled(x)}") for name, x in known.items())]
        )
    sides = [("-", old), ("+", new)]
    return [*lines, *((sign, f"{edit.key} = {_spelled(x)}") for sign, x in sides if x is not None)]


def _cut(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    over = len(lines) - _DIFF_LINES
    return lines if over <= 0 else [*lines[:_DIFF_LINES], (" ", f"… {over:,} more lines")]


def _plain(value: object) -> object:
    return msgspec.to_builtins(value)


def _spelled(value: object) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=str), 140)
