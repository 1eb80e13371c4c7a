"""What charts have in common: axes, legends and the column of row labels."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.scale import Scale
from gristmill.web.text import fit, text_width

WIDE = 800
"""Width in pixels of a chart on a desk."""
TICK_SIZE = 11.0
LABEL_SIZE = 12.5
ROW = 24.0
"""Height in pixels of a row in charts that have one row per name."""

_GAP = 10.0
_SWATCH = 18.0
_LEGEND_LINE = 20.0


def left_axis(scale: Scale, left: float, right: float, count: int = 5) -> Markup:
    """Draw horizontal grid lines from `left` to `right` with their values left of them."""
    marks = [
        svg.line(left, pixel, right, pixel, "grid")
        + svg.text(left - 8, pixel + 4, value, "tick", "end")
        for pixel, value in scale.ticks(count)
    ]
    return svg.group(*marks)


def left_margin(scale: Scale, count: int = 5) -> float:
    """Return the pixels that the values of a left axis need."""
    return 12 + max(text_width(value, TICK_SIZE) for _, value in scale.ticks(count))


def bottom_axis(
    scale: Scale, top: float, bottom: float, name: str = "", *, grid: bool = True
) -> Markup:
    """Draw the values of a horizontal scale under `bottom`, and its name under them."""
    count = max(2, min(6, int(abs(scale.stop - scale.start) / 62)))
    marks = [
        (svg.line(pixel, top, pixel, bottom, "grid") if grid else Markup(""))
        + svg.text(pixel, bottom + 17, value, "tick", "middle")
        for pixel, value in _apart(scale.ticks(count))
    ]
    if name:
        centre = (scale.start + scale.stop) / 2
        size = abs(scale.stop - scale.start)
        marks.append(svg.text(centre, bottom + 35, fit(name, size, TICK_SIZE), "name", "middle"))
    return svg.group(*marks)


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Drop ticks whose text would touch the one before."""
    kept: list[tuple[float, str]] = []
    for pixel, value in ticks:
        if kept:
            reach = (text_width(kept[-1][1], TICK_SIZE) + text_width(value, TICK_SIZE)) / 2 + 6
            if pixel - kept[-1][0] < reach:
                continue
        kept.append((pixel, value))
    return kept


def legend(
    entries: Sequence[tuple[str, str]], left: float, right: float, top: float
) -> tuple[Markup, float]:
    """Draw a legend that wraps between `left` and `right`; return it and its height.

    Args:
        entries: (class of the swatch, name) in the order shown.
        left: first pixel.
        right: last pixel.
        top: where the first line begins.
    """
    shapes, x, y = [], left, top + 12
    for class_, name in entries:
        shown = fit(name, right - left - _SWATCH, LABEL_SIZE)
        size = _SWATCH + text_width(shown, LABEL_SIZE)
        if x > left and x + size > right:
            x, y = left, y + _LEGEND_LINE
        shapes.append(svg.rect(x, y - 9, 11, 11, f"swatch {class_}", rx=2.5))
        shapes.append(svg.text(x + _SWATCH - 1, y, shown, "label"))
        x += size + 16
    return svg.group(*shapes), (y - top + 14 if entries else 0.0)


def label_width(labels: Sequence[str], width: float, share: float = 0.34) -> float:
    """Return the pixels for a column of row labels: as many as needed, at most a share."""
    longest = max((text_width(label[:80], LABEL_SIZE) for label in labels), default=0.0)
    return min(longest, width * share) + _GAP


def row_label(label: str, column: float, middle: float, class_: str = "label") -> Markup:
    """Write a row's label, right-aligned in its column, whole text under the pointer."""
    shown = fit(label, column - _GAP, LABEL_SIZE)
    written = svg.text(column - _GAP, middle + 4, shown, class_, "end")
    return svg.hover(label, written) if shown != label else written
