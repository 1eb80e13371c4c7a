"""Line chart: how figures change over steps, several series on one pair of axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.charts.axes import WIDE, bottom_axis, left_axis, left_margin, legend
from gristmill.web.scale import Scale, finite, format_number, scale_over

Points = Sequence[tuple[float, float | None]]
"""(x, y) of one series, in order of x; None or NaN breaks the line."""

_TOP, _BOTTOM, _RIGHT = 10.0, 44.0, 14.0


def line_chart(
    series: Mapping[str, Points],
    *,
    title: str,
    x_name: str = "",
    y_name: str = "",
    best: Mapping[str, float] | None = None,
    width: int = WIDE,
    height: int = 280,
) -> Markup:
    """Draw lines with a legend.

    Args:
        series: points by name, drawn in the given order.
        title: what the chart is, for assistive software.
        x_name: name of the horizontal axis.
        y_name: name of the vertical axis, written above it.
        best: by series name, the x to mark with a ring (the best epoch).
        width: pixels at full size.
        height: pixels of the chart without its legend.
    """
    names = list(series)
    key, taken = legend(
        [(svg.series_class(place), name) for place, name in enumerate(names)], 0, width, 0
    )
    top = taken + _TOP + (14 if y_name else 0)
    bottom = taken + height - _BOTTOM
    y = scale_over((value for points in series.values() for _, value in points), bottom, top)
    left = left_margin(y)
    x = _x_scale(series, left, width - _RIGHT)
    marks = best or {}
    shapes = [
        _series(name, series[name], place, marks.get(name), x, y)
        for place, name in enumerate(names)
    ]
    heading = svg.text(0, taken + 12, y_name, "name") if y_name else Markup("")
    return svg.drawing(
        width,
        taken + height,
        title,
        _summary(series, marks),
        key,
        heading,
        left_axis(y, left, width - _RIGHT),
        bottom_axis(x, top, bottom, x_name, grid=False),
        *shapes,
    )


def _x_scale(series: Mapping[str, Points], left: float, right: float) -> Scale:
    places = finite(place for points in series.values() for place, _ in points) or [0.0, 1.0]
    return Scale(min(places), max(places), left, right)


def _series(
    name: str, points: Points, place: int, best: float | None, x: Scale, y: Scale
) -> Markup:
    class_ = svg.series_class(place)
    runs = [[(x(at), y(value)) for at, value in run] for run in _runs(points)]
    shapes = [
        svg.polyline(run, f"line {class_}")
        if len(run) > 1
        else svg.circle(*run[0], 3, f"dot {class_}")
        for run in runs
    ]
    value = dict(points).get(best) if best is not None else None
    if best is not None and value is not None and finite([value]):
        note = f"{name}: best {format_number(value)} at {format_number(best)}"
        shapes.append(svg.hover(note, svg.circle(x(best), y(value), 5, f"ring {class_}")))
    return svg.group(*shapes)


def _runs(points: Points) -> list[list[tuple[float, float]]]:
    """Cut a series where values are missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is not None and len(finite([value, at])) == 2:
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _summary(series: Mapping[str, Points], best: Mapping[str, float]) -> str:
    parts = []
    for name, points in series.items():
        values = finite(value for _, value in points)
        if values:
            part = f"{name}: from {format_number(values[0])} to {format_number(values[-1])}"
            at = f", best at {format_number(best[name])}" if name in best else ""
            parts.append(part + at)
    return "; ".join(parts) or "No values."
