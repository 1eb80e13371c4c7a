"""Interval plot: a point and its interval per name, for comparing measured figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.charts.axes import (
    LABEL_SIZE,
    TICK_SIZE,
    WIDE,
    bottom_axis,
    label_width,
    row_label,
)
from gristmill.web.scale import Scale, finite, format_number, scale_over
from gristmill.web.text import fit, text_width

_ROW = 30.0


class Estimate(NamedTuple):
    """A named figure with its interval; `low` and `high` are None where there is none."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        reach = finite([self.low, self.high])
        if len(reach) < 2:
            return f"{self.name}: {format_number(self.value)}"
        low, high = (format_number(end) for end in reach)
        return f"{self.name}: {format_number(self.value)} [{low}, {high}]"


def interval_plot(
    estimates: Sequence[Estimate],
    *,
    title: str,
    x_name: str = "",
    reference: tuple[str, float] | None = None,
    highlight: str | None = None,
    width: int = WIDE,
) -> Markup:
    """Draw estimates, best first, on one scale that spans them all.

    Args:
        estimates: figures to compare; sorted by value, largest on top.
        title: what the chart is, for assistive software.
        x_name: name of the figure.
        reference: (name, value) of a vertical line to compare with.
        highlight: the name to emphasise.
        width: pixels at full size.
    """
    order = sorted(estimates, key=lambda estimate: -(finite([estimate.value]) or [-1e308])[0])
    column = label_width([estimate.name for estimate in order], width)
    room = text_width("0.000", LABEL_SIZE) + 14
    top = 22.0 if reference else 4.0
    bottom = top + max(len(order), 1) * _ROW
    values = [end for estimate in order for end in estimate[1:]]
    scale = scale_over([*values, reference[1] if reference else None], column, width - room)
    rows = [
        _row(estimate, scale, column, top + (place + 0.5) * _ROW, width, estimate.name == highlight)
        for place, estimate in enumerate(order)
    ]
    return svg.drawing(
        width,
        bottom + (44 if x_name else 26),
        title,
        "; ".join(str(estimate) for estimate in order) or "No values.",
        bottom_axis(scale, top, bottom, x_name),
        _reference(reference, scale, top, bottom, width) if reference else Markup(""),
        *rows,
    )


def _row(
    estimate: Estimate, scale: Scale, column: float, y: float, width: float, strong: bool
) -> Markup:
    accent = "s2" if strong else "s1"
    shapes = [row_label(estimate.name, column, y, "label strong" if strong else "label")]
    ends = finite([estimate.low, estimate.high])
    marks = []
    if len(ends) == 2:
        low, high = scale(ends[0]), scale(ends[1])
        marks.append(svg.line(low, y, high, y, f"whisker {accent}"))
        marks += [svg.line(end, y - 4, end, y + 4, f"whisker {accent}") for end in (low, high)]
    if finite([estimate.value]):
        marks.append(svg.circle(scale(estimate.value), y, 5, f"dot {accent}"))
    shapes.append(svg.hover(str(estimate), *marks))
    shown = f"{estimate.value:.3f}" if finite([estimate.value]) else "–"
    shapes.append(svg.text(width, y + 4, shown, "value strong" if strong else "value", "end"))
    return svg.group(*shapes)


def _reference(
    reference: tuple[str, float], scale: Scale, top: float, bottom: float, width: float
) -> Markup:
    x = scale(reference[1])
    name = fit(reference[0], width * 0.6, TICK_SIZE)
    half = text_width(name, TICK_SIZE) / 2
    centre = min(max(x, half), width - half)
    return svg.line(x, top - 4, x, bottom, "reference") + svg.text(
        centre, top - 9, name, "tick", "middle"
    )
