"""Serving: what was asked and what was answered."""

from __future__ import annotations

import json

from gristmill.web import blocks
from gristmill.web.cells import Cell
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Record, Records, as_records, figure_of, name_of

_MAX_BODY = 4_000


def serving_section(
    report: Report,
    exchanges: Records,
    *,
    title: str = "Serving",
    lead: str = "Requests sent to the running server, and its answers.",
) -> Section:
    """Add a table of exchanges, and each exchange in full under a fold.

    Args:
        report: where to add.
        exchanges: `request` and `response` (text, or data shown as JSON), `status` (HTTP), and
            optionally `name` and `seconds`.
        title: heading.
        lead: the sentence under it.
    """
    items = as_records(exchanges, "serving")
    section = report.section(title, lead)
    timed = any(figure_of(item, "seconds") is not None for item in items)
    section.table(
        ["request", "status", *(["ms"] if timed else []), "answer"],
        [_row(item, place, timed) for place, item in enumerate(items)],
    )
    for place, item in enumerate(items):
        request, response = _body(item.get("request")), _body(item.get("response"))
        inner = [blocks.code(request, "Request"), blocks.code(response, "Response")]
        section.details(f"{_name(item, place)} → {item.get('status', '')}", inner)
    return section


def _row(item: Record, place: int, timed: bool) -> list[object]:
    seconds = figure_of(item, "seconds")
    time = [_milliseconds(seconds)] if timed else []
    status = item.get("status")
    shown = None if status is None else str(status)  # a code, not a quantity
    return [_name(item, place), shown, *time, _body(item.get("response"), indent=None)]


def _milliseconds(seconds: float | None) -> Cell | None:
    return None if seconds is None else Cell(f"{seconds * 1000:,.1f}", True, repr(seconds))


def _name(item: Record, place: int) -> str:
    if item.get("name") is not None:
        return str(item["name"])
    return name_of({"request": _body(item.get("request"), indent=None)[:80]}, place, "request")


def _body(value: object, indent: int | None = 2) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    whole = value if isinstance(value, str) else _as_json(value, indent)
    cut = len(whole) - _MAX_BODY
    return whole[:_MAX_BODY] + (f"\n… {cut:,} more characters" if cut > 0 else "")


def _as_json(value: object, indent: int | None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)
