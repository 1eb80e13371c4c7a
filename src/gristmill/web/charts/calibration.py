"""Calibration curve: how often a predicted probability came true."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.charts.axes import WIDE, bottom_axis, left_axis, left_margin
from gristmill.web.scale import Scale, finite

Bin = tuple[float, float, float]
"""(mean predicted probability, observed share, rows) of one bin."""


def calibration_curve(
    bins: Sequence[Bin], *, title: str, x_name: str = "predicted probability", width: int = WIDE
) -> Markup:
    """Draw a reliability diagram (Murphy and Winkler 1977): the diagonal is honesty.

    Args:
        bins: in order of predicted probability; a dot's area grows with its rows.
        title: what the chart is, for assistive software.
        x_name: name of the horizontal axis.
        width: pixels at full size; the plot is a square of at most 340.
    """
    side = min(width - 60.0, 340.0)
    top, bottom = 26.0, 26.0 + side
    y = Scale(0.0, 1.0, bottom, top)
    left = left_margin(y)
    x = Scale(0.0, 1.0, left, left + side)
    drawn = [item for item in bins if len(finite(item)) == 3 and item[2] > 0]
    points = [(x(predicted), y(observed)) for predicted, observed, _ in drawn]
    return svg.drawing(
        left + side + 14,
        bottom + 44,
        title,
        "; ".join(_note(item) for item in drawn) or "No values.",
        svg.text(0, 12, "observed share", "name"),
        left_axis(y, left, left + side),
        bottom_axis(x, top, bottom, x_name),
        svg.line(x(0), y(0), x(1), y(1), "reference"),
        svg.polyline(points, "line s1") if len(points) > 1 else Markup(""),
        *_dots(drawn, points),
    )


def _dots(bins: Sequence[Bin], points: Sequence[tuple[float, float]]) -> list[Markup]:
    most = max((rows for _, _, rows in bins), default=1.0)
    return [
        svg.hover(_note(item), svg.circle(*point, 2.5 + 4.5 * math.sqrt(item[2] / most), "dot s1"))
        for item, point in zip(bins, points, strict=True)
    ]


def _note(item: Bin) -> str:
    return f"predicted {item[0]:.2f}, observed {item[1]:.2f}, {item[2]:,.0f} rows"
