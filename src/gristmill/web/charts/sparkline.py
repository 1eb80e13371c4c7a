"""Sparkline: a distribution or a history the size of a word (Tufte 2006)."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.scale import finite, format_number

_BROADEST = 15.0


def sparkline(
    values: Sequence[float | None], *, title: str, width: int = 120, height: int = 26
) -> Markup:
    """Draw values as small bars from zero, left to right; missing ones leave a gap.

    Args:
        values: at most about `width` / 3 of them, none negative.
        title: what the picture is, for assistive software.
        width: pixels.
        height: pixels.
    """
    numbers = finite(values)
    top = max(numbers, default=0.0) or 1.0
    step = min(width / max(len(values), 1), _BROADEST)
    gap = 1.0 if step > 3 else 0.0
    bars = [
        svg.rect(place * step, height - size, step - gap, size, "bar s1")
        for place, value in enumerate(values)
        if value is not None and finite([value])
        for size in [max(value / top * (height - 2), 1.0 if value > 0 else 0.0)]
    ]
    ends = [format_number(end) for end in (min(numbers), max(numbers))] if numbers else []
    about = f"{len(values)} values, {ends[0]} to {ends[1]}." if ends else "No values."
    base = svg.line(0, height - 0.5, width, height - 0.5, "base")
    return svg.drawing(width, height, title, about, base, *bars, class_="spark")
