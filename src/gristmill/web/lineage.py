"""Lineage drawing: what was made from what, as boxes in layers joined by smooth edges."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.charts.axes import WIDE, legend
from gristmill.web.layers import Edge, Layout, Place, lay_out
from gristmill.web.svg import number
from gristmill.web.text import clean, fit, wrap

STATUSES = ("run", "cached", "failed", "blocked")
"""What may have become of a node; any other status is drawn in grey."""

_NARROWEST, _WIDEST = 92.0, 172.0
_PADDING = 10.0
_LINE = 15.0
_BOLD, _DETAIL, _KIND = 13.5, 11.0, 9.5  # bold is set at 12.5, and is broader
_ROW_GAP = 40.0
_EDGE_OF_PAGE = 2.0


class Node(NamedTuple):
    """One thing in the lineage.

    Attributes:
        id: what edges refer to.
        label: its name, up to two lines.
        kind: step, table, labels, model, bundle...: a small word above the name.
        status: one of `STATUSES`, or empty.
        detail: one line below the name (rows, seconds, why).
    """

    id: str
    label: str
    kind: str = ""
    status: str = ""
    detail: str = ""

    def __str__(self) -> str:
        parts = (self.kind, self.status, self.detail)
        return ", ".join([self.label, *(part for part in parts if part)])


class _Frame(NamedTuple):
    """Sizes that all boxes share, in pixels."""

    box: float
    height: float
    top: float

    def row(self, depth: int) -> float:
        return self.top + depth * (self.height + _ROW_GAP)


def lineage_drawing(
    nodes: Sequence[Node], edges: Sequence[Edge], *, title: str = "Lineage", width: int = WIDE
) -> Markup:
    """Draw the graph from its sources at the top to its results at the bottom.

    Boxes shrink to let the broadest layer fit `width`; where they cannot, the drawing is wider.

    Args:
        nodes: up to about 60.
        edges: (from id, to id).
        title: what the drawing is, for assistive software.
        width: pixels to aim for.

    Raises:
        UsageError: an id appears twice, an edge names an unknown id, or there is a cycle.
    """
    layout, frame = _frame(nodes, edges, width)
    full = max(layout.width + 2 * _EDGE_OF_PAGE, 60.0)
    key, taken = _legend(nodes, max(full, 200.0))
    full = max(full, 200.0)
    frame = frame._replace(top=taken + 6)
    shift = (full - layout.width) / 2
    known = {node.id: node for node in nodes}
    links = [
        svg.path(_curve(route, layout, frame, shift), "edge") for route in layout.routes.values()
    ]
    heads = [_arrow(layout.centre[end,] + shift, _top(layout, frame, end)) for end in _ends(edges)]
    boxes = [
        _box(known[place[0]], layout.centre[place] + shift, frame.row(depth), frame)
        for depth, layer in enumerate(layout.layers)
        for place in layer
        if len(place) == 1
    ]
    bottom = frame.row(len(layout.layers)) - _ROW_GAP + 4
    return svg.drawing(
        full,
        max(bottom, 20.0),
        title,
        _summary(nodes, edges),
        key,
        *links,
        *heads,
        *boxes,
        class_="chart lineage" if full <= width + 1 else "chart lineage natural",
    )


def _frame(nodes: Sequence[Node], edges: Sequence[Edge], width: float) -> tuple[Layout, _Frame]:
    """Lay out with full boxes; if that is too wide, again with boxes shrunk in proportion."""
    ids = [node.id for node in nodes]
    gap = 20.0 if width >= 600 else 10.0
    layout = lay_out(ids, edges, box=_WIDEST, gap=gap, lane=14.0)
    box = _WIDEST
    while layout.width > width - 2 * _EDGE_OF_PAGE and box > _NARROWEST:
        box = max(_NARROWEST, box - 8)
        layout = lay_out(ids, edges, box=box, gap=gap, lane=10.0)
    room = box - 2 * _PADDING
    lines = max((len(wrap(node.label, room, _BOLD, 2)) for node in nodes), default=1)
    lines += any(node.kind or node.status for node in nodes) + any(node.detail for node in nodes)
    return layout, _Frame(box, 16 + _LINE * lines, 0.0)


def _legend(nodes: Sequence[Node], width: float) -> tuple[Markup, float]:
    seen = {node.status for node in nodes}
    entries = [(f"is-{status}", status) for status in STATUSES if status in seen]
    return legend(entries, _EDGE_OF_PAGE, width, 0)


def _ends(edges: Sequence[Edge]) -> list[str]:
    return list(dict.fromkeys(end for _, end in edges))


def _top(layout: Layout, frame: _Frame, name: str) -> float:
    depth = next(depth for depth, layer in enumerate(layout.layers) if (name,) in layer)
    return frame.row(depth)


def _curve(route: Sequence[Place], layout: Layout, frame: _Frame, shift: float) -> str:
    """Leave a box at its foot, pass each layer straight down, and enter the last box from above."""
    depth = next(depth for depth, layer in enumerate(layout.layers) if route[0] in layer)
    pieces = []
    for step, (start, end) in enumerate(itertools.pairwise(route)):
        x1, x2 = layout.centre[start] + shift, layout.centre[end] + shift
        y1 = frame.row(depth + step) + frame.height
        y2 = frame.row(depth + step + 1)
        stop = y2 - 5 if step == len(route) - 2 else y2
        middle = (y1 + stop) / 2
        lead = "M" if step == 0 else "L"
        pieces.append(
            f"{lead}{number(x1)} {number(y1)}C{number(x1)} {number(middle)} "
            f"{number(x2)} {number(middle)} {number(x2)} {number(stop)}"
        )
    return "".join(pieces)


def _arrow(x: float, y: float) -> Markup:
    left, right = number(x - 4), number(x + 4)
    return svg.path(
        f"M{left} {number(y - 7)}L{right} {number(y - 7)}L{number(x)} {number(y)}Z", "head"
    )


def _box(node: Node, centre: float, top: float, frame: _Frame) -> Markup:
    left, room = centre - frame.box / 2, frame.box - 2 * _PADDING
    status = node.status if node.status in STATUSES else "other"
    shapes = [
        svg.rect(left, top, frame.box, frame.height, "node", rx=6),
        svg.rect(left, top + 8, 3.5, frame.height - 16, f"status is-{status}", rx=1.5),
    ]
    labels = wrap(node.label, room, _BOLD, 2)
    lines = [
        (fit(clean(node.kind or node.status).upper(), room, _KIND * 1.12), "kind"),
        *((label, "label strong") for label in labels),
        (fit(node.detail, room, _DETAIL), "tick"),
    ]
    lines = [(line, class_) for line, class_ in lines if line]
    y = top + (frame.height - _LINE * len(lines)) / 2 + 11
    for place, (line, class_) in enumerate(lines):
        shapes.append(svg.text(left + _PADDING, y + place * _LINE, line, class_))
    return svg.hover(str(node), *shapes)


def _summary(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    labels = {node.id: node.label for node in nodes}
    links = "; ".join(f"{labels[start]} to {labels[end]}" for start, end in edges)
    return f"{len(nodes)} nodes. {links}" if links else f"{len(nodes)} nodes."
