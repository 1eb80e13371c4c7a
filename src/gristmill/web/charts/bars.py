"""Bar chart: one horizontal bar per name, its value written beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.charts.axes import LABEL_SIZE, ROW, WIDE, label_width, row_label
from gristmill.web.scale import Scale, finite, format_number
from gristmill.web.text import text_width

_BAR = 13.0


def bar_chart(
    bars: Sequence[tuple[str, float | None]],
    *,
    title: str,
    show: Callable[[float], str] = format_number,
    highest: float | None = None,
    width: int = WIDE,
) -> Markup:
    """Draw bars in the given order, from zero to the right (negative values to the left).

    Args:
        bars: (name, value); None or NaN is drawn as a dash.
        title: what the chart is, for assistive software.
        show: prints a value.
        highest: the value of a full bar; the largest one by default.
        width: pixels at full size.
    """
    column = label_width([name for name, _ in bars], width)
    values = finite(value for _, value in bars) or [0.0]
    room = max(text_width(show(value), LABEL_SIZE) for value in values) + 10
    low, high = min(*values, 0.0), max(*values, 0.0, highest or 0.0)
    # A negative bar writes its value on its left, so that side needs the room as well.
    start = column + (room if low < 0 else 0)
    scale = Scale(low, high if high > low else low + 1.0, start, width - room)
    rows = [
        _bar(name, value, show, scale, column, place * ROW + ROW / 2)
        for place, (name, value) in enumerate(bars)
    ]
    summary = "; ".join(f"{name}: {_shown(value, show)}" for name, value in bars)
    base = svg.line(scale(0), 0, scale(0), len(bars) * ROW, "base")
    return svg.drawing(width, max(len(bars), 1) * ROW, title, summary or "No values.", *rows, base)


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return show(value) if value is not None and finite([value]) else "–"


def _bar(
    name: str,
    value: float | None,
    show: Callable[[float], str],
    scale: Scale,
    column: float,
    middle: float,
) -> Markup:
    size = value if value is not None and finite([value]) else 0.0
    zero, end = scale(0), scale(size)
    anchor = "end" if size < 0 else None
    at = end - 6 if size < 0 else end + 6
    return svg.group(
        row_label(name, column, middle),
        svg.rect(min(zero, end), middle - _BAR / 2, abs(end - zero), _BAR, "bar s1", rx=2),
        svg.text(at, middle + 4, _shown(value, show), "value", anchor),
    )
