"""The replay on one page: what was true, how well it was answered, and when the model changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from figures import Measured, Quality, Row
from markupsafe import Markup
from streams import Stream

from gristmill import web
from gristmill.web import svg
from gristmill.web.charts.axes import left_axis, left_margin, legend
from gristmill.web.scale import Scale, scale_over

_SERIES = (("s2", "without the loop"), ("s1", "with the loop"))
_TALL, _LOW, _GAP = 180.0, 90.0, 46.0
_RIGHT, _BOTTOM = 12.0, 44.0


def write_page(path: Path, name: str, stream: Stream, rows: Sequence[Row]) -> Path:
    """Write the page of a replay and return its path."""
    page = web.Report(f"The loop on {name}", stream.question)
    promoted = sum(row.look.outcome == "promoted" for row in rows)
    page.facts(
        [
            ("rows served", sum(row.rows for row in rows)),
            ("periods", len(rows)),
            ("retrained", sum(bool(row.look.outcome) for row in rows)),
            ("new versions", promoted),
        ]
    )
    page.figure(
        lambda width: replay_chart(rows, width),
        "The same rows, answered by the first version and by those that the loop put in its place. "
        "Whiskers are 95 % intervals, a dashed line is a new version. Below 0 in the lowest panel, "
        "always saying the base rate would do better.",
    )
    page.section("Period by period").table(_COLUMNS, [_cells(row) for row in rows])
    looks = page.section("What monitoring said")
    looks.table(
        ["period", "found", "done"],
        [[row.period, ", ".join(row.look.findings), row.look.done] for row in rows],
    )
    return page.write(path)


def replay_chart(rows: Sequence[Row], width: float) -> Markup:
    """Draw the share of "yes", and both figures of both ways, one under the other.

    Args:
        rows: the periods, in order.
        width: pixels at full size.
    """
    key, taken = legend(_SERIES, 0, width, 0)
    tops = [taken + 24]
    for height in (_LOW, _TALL):
        tops.append(tops[-1] + height + _GAP)
    scales = [
        scale_over([0.0, *(row.share for row in rows)], tops[0] + _LOW, tops[0], count=3),
        scale_over([0.5, *_ends(rows, lambda each: each.auc)], tops[1] + _TALL, tops[1]),
        scale_over([0.0, *_ends(rows, lambda each: each.saved)], tops[2] + _TALL, tops[2]),
    ]
    left = max(left_margin(scale) for scale in scales)
    x = Scale(-0.5, len(rows) - 0.5, left, width - _RIGHT)
    names = (
        'share of "yes"',
        "area under the ROC curve; 0.5 is a guess",
        "log loss saved on the base rate",
    )
    shapes = [key]
    for scale, name in zip(scales, names, strict=True):
        shapes += [svg.text(0, scale.stop - 12, name, "name"), left_axis(scale, left, x.stop)]
    shapes += [_bars(rows, x, scales[0]), _years(rows, x, scales)]
    for scale, base, figure in zip(scales[1:], (0.5, 0.0), _FIGURES, strict=True):
        shapes.append(svg.line(left, scale(base), x.stop, scale(base), "base"))
        shapes += [_series(rows, place, figure, x, scale) for place in range(len(_SERIES))]
    shapes.append(_versions(rows, x, scales))
    bottom = scales[-1].start + _BOTTOM
    return svg.drawing(width, bottom, "The replay, period by period", _summary(rows), *shapes)


_FIGURES: tuple[Callable[[Quality], Measured | None], ...] = (
    lambda each: each.auc,
    lambda each: each.saved,
)
_COLUMNS = (
    *("period", "rows", "yes", "AUC without", "AUC with", "log loss saved without"),
    *("log loss saved with", "right without", "right with"),
)


def _cells(row: Row) -> list[object]:
    one, two = row.without, row.with_loop
    return [
        row.period, row.rows, row.share, *(str(each.auc or "-") for each in (one, two)),
        str(one.saved), str(two.saved), one.accuracy, two.accuracy,
    ]  # fmt: skip


def _both(row: Row) -> tuple[Quality, Quality]:
    return row.without, row.with_loop


def _ends(rows: Sequence[Row], figure: Callable[[Quality], Measured | None]) -> list[float]:
    found = [figure(each) for row in rows for each in _both(row)]
    return [one.value + way * one.half for one in found if one is not None for way in (-1, 1)]


def _bars(rows: Sequence[Row], x: Scale, y: Scale) -> Markup:
    wide = (x(1) - x(0)) * 0.6
    bars = [
        svg.hover(
            f"{row.period}: {row.share:.1%} of {row.rows:,} rows",
            svg.rect(x(place) - wide / 2, y(row.share), wide, y(0) - y(row.share), "bar fill1"),
        )
        for place, row in enumerate(rows)
    ]
    return svg.group(*bars)


def _years(rows: Sequence[Row], x: Scale, scales: Sequence[Scale]) -> Markup:
    """Name each year under its first period."""
    years = [row.period.split()[0] for row in rows]
    firsts = [place for place, year in enumerate(years) if years.index(year) == place]
    marks = [
        svg.text(x(place) - 4, scales[-1].start + 18, years[place], "tick") for place in firsts
    ]
    lines = [
        svg.line(x(place - 0.5), scale.stop, x(place - 0.5), scale.start, "grid")
        for place in firsts
        for scale in scales
    ]
    return svg.group(*lines, *marks)


def _series(
    rows: Sequence[Row],
    place: int,
    figure: Callable[[Quality], Measured | None],
    x: Scale,
    y: Scale,
) -> Markup:
    """Draw one way's figure: a line through dots with whiskers."""
    class_, name = _SERIES[place]
    aside = (place - 0.5) * 0.16
    points, marks = [], []
    for at, row in enumerate(rows):
        found = figure(_both(row)[place])
        if found is None:
            continue
        across, up = x(at + aside), y(found.value)
        points.append((across, up))
        ends = (y(found.value - found.half), y(found.value + found.half))
        marks.append(
            svg.hover(
                f"{row.period}, {name}: {found}",
                svg.line(across, ends[0], across, ends[1], f"whisker {class_}"),
                svg.circle(across, up, 3, f"dot {class_}"),
            )
        )
    line = svg.polyline(points, f"line {class_}") if len(points) > 1 else Markup("")
    return svg.group(line, *marks)


def _versions(rows: Sequence[Row], x: Scale, scales: Sequence[Scale]) -> Markup:
    """Mark where another version began to answer."""
    marks = []
    for place, row in enumerate(rows[:-1]):  # what begins after the last row answered none
        if row.look.outcome != "promoted":
            continue
        at = x(place + 0.5)
        marks += [svg.line(at, each.stop, at, each.start, "reference") for each in scales[1:]]
        marks.append(svg.text(at + 3, scales[1].stop + 9, f"v{row.look.now}", "tick"))
    return svg.group(*marks)


def _summary(rows: Sequence[Row]) -> str:
    """Say what the picture shows, for those who cannot see it."""
    if not rows:
        return "No periods."
    parts = [
        f"{name}: AUC {_shown(rows[0], at)} at first, {_shown(rows[-1], at)} at last"
        for at, (_, name) in enumerate(_SERIES)
    ]
    versions = [row.period for row in rows if row.look.outcome == "promoted"]
    return "; ".join([*parts, f"new versions after {', '.join(versions) or 'no period'}"])


def _shown(row: Row, place: int) -> str:
    return str(_both(row)[place].auc or "-")
