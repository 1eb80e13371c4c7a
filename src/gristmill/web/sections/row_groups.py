"""Row groups: rows with something in common, and a labelling function to paste for them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gristmill.core.quantities import format_count
from gristmill.web.cells import interval_cell, noted_cell, share_cell
from gristmill.web.charts import bar_chart
from gristmill.web.report import Report, Section
from gristmill.web.sections.error_buckets import Examples, example_table
from gristmill.web.sections.records import Record, Records, as_records, figure_of
from gristmill.web.text import shorten

_NAME = 60


def row_groups_section(
    report: Report,
    groups: Records,
    *,
    title: str,
    lead: str = "",
    examples: Examples | None = None,
    rest: int | None = None,
) -> Section:
    """Add groups of rows: a picture of their sizes, their figures, and rows to read.

    Args:
        report: where to add.
        groups: `trait`, `rows`, `fresh`, `share`, `elsewhere` (shares), and optionally `also`
            (texts), `leans_to`, `lean_share`, `lean_low`, `lean_high`, `suggestion` (code) and
            `examples` (row ids).
        title: heading.
        lead: the sentence under it.
        examples: the rows to show, by id.
        rest: rows that are in no group.
    """
    items = as_records(groups, "row groups")
    section = report.section(title, lead)
    if not items:
        return section.text("No groups stand out.")
    bars = [(shorten(str(item["trait"]), _NAME), figure_of(item, "fresh")) for item in items]
    bars += [("in no group", float(rest))] if rest else []
    section.figure(
        lambda width: bar_chart(bars, title="Rows by group", show=format_count, width=width),
        "Rows that each group adds",
    )
    section.table(
        ["what they share", "rows", "share", "elsewhere", "leans to", "share that does"],
        [_row(item) for item in items],
        "All groups",
    )
    code = "\n".join(str(item["suggestion"]) for item in items if item.get("suggestion"))
    if code:
        section.code(code, "Functions to try: paste, rename, then look at the figures again")
    for item, table in _tables(items, examples or {}):
        section.details(_summary(item), [table])
    return section


def _row(item: Record) -> list[object]:
    also = item.get("also")
    words = ", ".join(map(str, also)) if isinstance(also, list | tuple) else ""
    ends = (figure_of(item, key) for key in ("lean_share", "lean_low", "lean_high"))
    leans = item.get("leans_to")
    return [
        noted_cell(str(item["trait"]), f"also: {words}" if words else ""),
        item["rows"],
        share_cell(figure_of(item, "share")),
        share_cell(figure_of(item, "elsewhere")),
        None if leans is None else str(leans),
        interval_cell(*ends),
    ]


def _tables(items: Sequence[Record], examples: Examples) -> list[tuple[Record, Markup]]:
    found = []
    for item in items:
        ids = item.get("examples")
        table = example_table(list(ids) if isinstance(ids, list | tuple) else [], examples)
        if table is not None:
            found.append((item, table))
    return found


def _summary(item: Record) -> str:
    return f"Rows to read: {shorten(str(item['trait']), _NAME)}"
