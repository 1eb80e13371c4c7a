"""Error buckets: what was predicted against what is true, with rows to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from gristmill.web import blocks
from gristmill.web.cells import interval_cell
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Record, Records, as_records, figure_of

MAX_BUCKETS = 12

Examples = Mapping[object, Record]
"""Row id -> what to show of the row, by column."""


def buckets_section(
    report: Report,
    buckets: Records,
    *,
    sources: Records = (),
    examples: Examples | None = None,
    title: str = "Errors",
    lead: str = "Gold rows by what the labels say and what experts say.",
) -> Section:
    """Add the error buckets of labels, and each source's own errors.

    Args:
        report: where to add.
        buckets: errors first: `predicted`, `truth`, `rows`, `share`, `low`, `high`, `examples`
            (row ids).
        sources: `source`, `voted`, `truth`, `rows`, `votes`, `harm`, `examples`.
        examples: the rows to show, by id.
        title: heading.
        lead: the sentence under it.
    """
    items, shown = as_records(buckets, "error buckets"), examples or {}
    section = report.section(title, lead)
    wrong = [place for place, item in enumerate(items) if item["predicted"] != item["truth"]]
    section.table(
        ["labels say", "experts say", "rows", "share"],
        [
            [
                item["predicted"],
                item["truth"],
                item["rows"],
                interval_cell(*(figure_of(item, key) for key in ("share", "low", "high"))),
            ]
            for item in items
        ],
        "Rows by predicted and true class; errors stand out",
        highlight=wrong,
    )
    for place in wrong[:MAX_BUCKETS]:
        item = items[place]
        name = f"{item['predicted']} where experts say {item['truth']}"
        _add_rows(section, name, [item], shown)
    found = as_records(sources, "errors of sources")
    if found:
        _add_sources(section, found, shown)
    return section


def example_table(ids: Sequence[object], examples: Examples, caption: str = "") -> Markup | None:
    """Return a table of example rows, or None where nothing is known of them."""
    rows = [(each, examples[each]) for each in ids if each in examples]
    if not rows:
        return None
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    values = [[str(row_id), *(row.get(key) for key in columns)] for row_id, row in rows]
    return blocks.table(["row", *columns], values, caption)


def _add_rows(section: Section, name: str, items: Sequence[Record], examples: Examples) -> None:
    ids = [row for item in items for row in _ids(item)]
    table = example_table(ids, examples)
    if table is not None:
        section.details(f"Rows to read: {name}", [table])


def _add_sources(section: Section, items: Sequence[Record], examples: Examples) -> None:
    section.table(
        ["function", "votes", "experts say", "wrong rows", "of its votes", "labels wrong too"],
        [
            [
                item["source"],
                item["voted"],
                item["truth"],
                item["rows"],
                item["votes"],
                item["harm"],
            ]
            for item in items
        ],
        "Where each function is wrong",
    )
    for item in items[:MAX_BUCKETS]:
        name = f"{item['source']} votes {item['voted']} where experts say {item['truth']}"
        _add_rows(section, name, [item], examples)


def _ids(item: Record) -> list[object]:
    found = item.get("examples")
    return list(found) if isinstance(found, list | tuple) else []
