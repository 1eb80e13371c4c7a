"""Histogram: one distribution, or a baseline and what is current, on the same edges."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from gristmill.core.errors import UsageError
from gristmill.web import svg
from gristmill.web.charts.axes import WIDE, bottom_axis, left_axis, left_margin, legend
from gristmill.web.scale import Scale, finite, format_number, scale_over

_BOTTOM, _RIGHT = 44.0, 14.0


def histogram_pair(
    edges: Sequence[float],
    baseline: Sequence[float],
    current: Sequence[float] | None = None,
    *,
    title: str,
    names: tuple[str, str] = ("baseline", "current"),
    x_name: str = "",
    width: int = WIDE,
    height: int = 240,
) -> Markup:
    """Draw the baseline as bars and the current distribution as a stepped outline over them.

    Each bar's area is its share of the rows, so that bins of unequal width stay comparable.

    Args:
        edges: k + 1 increasing bin edges, shared by both.
        baseline: k counts.
        current: k counts, or None to draw the baseline alone.
        title: what the chart is, for assistive software.
        names: how the two are called in the legend.
        x_name: name of the values.
        width: pixels at full size.
        height: pixels of the chart without its legend.

    Raises:
        UsageError: the edges do not increase, or a count is missing, negative or not finite.
    """
    first = _density(edges, baseline, names[0])
    second = _density(edges, current, names[1]) if current is not None else []
    entries = list(zip(("fill1", "s2"), names, strict=True)) if current is not None else []
    key, taken = legend(entries, 0, width, 0)
    top, bottom = taken + 8, taken + height - _BOTTOM
    y = scale_over([*first, *second], bottom, top, zero=True, count=4)
    left = left_margin(y, 4)
    x = Scale(float(edges[0]), float(edges[-1]), left, width - _RIGHT)
    return svg.drawing(
        width,
        taken + height,
        title,
        _summary(edges, names, baseline, current),
        key,
        left_axis(y, left, width - _RIGHT, 4),
        bottom_axis(x, top, bottom, x_name, grid=False),
        *_bars(edges, first, baseline, x, y),
        _outline(edges, second, x, y) if second else Markup(""),
    )


def _density(edges: Sequence[float], counts: Sequence[float], name: str) -> list[float]:
    """Return share per unit of each bin."""
    if len(edges) < 2 or any(not low < high for low, high in itertools.pairwise(edges)):
        raise UsageError(f"expected at least two increasing bin edges, found {list(edges)[:8]}")
    if len(counts) != len(edges) - 1 or len(finite(counts)) != len(counts) or min(counts) < 0:
        raise UsageError(
            f"expected {len(edges) - 1} counts of at least 0 for {len(edges)} edges, "
            f"found {list(counts)[:8]}",
            where=name,
        )
    total = sum(counts) or 1.0
    return [
        count / total / (high - low)
        for count, (low, high) in zip(counts, itertools.pairwise(edges), strict=True)
    ]


def _bars(
    edges: Sequence[float], density: list[float], counts: Sequence[float], x: Scale, y: Scale
) -> list[Markup]:
    floor = y(0)
    bars = []
    for (low, high), share, count in zip(itertools.pairwise(edges), density, counts, strict=True):
        note = f"{format_number(low)} to {format_number(high)}: {count:,.0f}"
        size = max(x(high) - x(low) - 1, 0.5)
        shape = svg.rect(x(low) + 0.5, y(share), size, floor - y(share), "bar fill1")
        bars.append(svg.hover(note, shape))
    return bars


def _outline(edges: Sequence[float], density: list[float], x: Scale, y: Scale) -> Markup:
    points = [(x(edges[0]), y(0))]
    for (low, high), share in zip(itertools.pairwise(edges), density, strict=True):
        points += [(x(low), y(share)), (x(high), y(share))]
    return svg.polyline([*points, (x(edges[-1]), y(0))], "line s2")


def _summary(
    edges: Sequence[float],
    names: tuple[str, str],
    baseline: Sequence[float],
    current: Sequence[float] | None,
) -> str:
    ends = f"from {format_number(edges[0])} to {format_number(edges[-1])}"
    text = f"{names[0]}: {sum(baseline):,.0f} rows in {len(baseline)} bins {ends}"
    return text if current is None else f"{text}; {names[1]}: {sum(current):,.0f} rows"
