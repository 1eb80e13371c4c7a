"""Lineage: the run drawn as a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gristmill.web.layers import Edge
from gristmill.web.lineage import STATUSES, Node, lineage_drawing
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Records, as_records, name_of


def lineage_section(
    report: Report,
    nodes: Records,
    edges: Iterable[Edge],
    *,
    title: str = "Lineage",
    lead: str = "What was made from what, sources at the top.",
) -> Section:
    """Add the drawing of a graph.

    Args:
        report: where to add.
        nodes: `id`, and optionally `label`, `kind`, `status` (run, cached, failed, blocked) and
            `detail`; up to about 60.
        edges: (from id, to id).
        title: heading.
        lead: the sentence under it.

    Raises:
        UsageError: an id appears twice, an edge names an unknown id, or there is a cycle.
    """
    drawn = [
        Node(
            name_of(record, place, "id", "label"),
            name_of(record, place, "label", "id"),
            *(str(record.get(key) or "") for key in ("kind", "status", "detail")),
        )
        for place, record in enumerate(as_records(nodes, "lineage"))
    ]
    links = [(str(start), str(end)) for start, end in edges]
    counts = Counter(node.status for node in drawn)
    caption = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    return report.section(title, lead).figure(
        lambda width: lineage_drawing(drawn, links, title=title, width=width), caption
    )
