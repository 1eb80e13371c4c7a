"""Source plot: what each labelling function covers, and how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.charts.axes import ROW, WIDE, bottom_axis, label_width, legend, row_label
from gristmill.web.scale import Scale, finite, scale_over

_BAR = 11.0
_GAP = 28.0


class Source(NamedTuple):
    """Figures of one labelling function, as shares of all rows (accuracy: of the rows judged).

    `conflicts` is part of `overlaps`, which is part of `coverage` (Ratner et al. 2017, Snorkel).
    Accuracy and its interval are None where there is no gold label to judge by.
    """

    name: str
    coverage: float
    overlaps: float = 0.0
    conflicts: float = 0.0
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        text = f"{self.name}: covers {self.coverage:.1%}, conflicts {self.conflicts:.1%}"
        return text if self.accuracy is None else f"{text}, accuracy {self.accuracy:.1%}"


def source_plot(sources: Sequence[Source], *, title: str, width: int = WIDE) -> Markup:
    """Draw two panels with one row per source.

    Left, coverage as a stacked bar: alone, in agreement with others, in conflict with others.
    Right, accuracy as a dot with its interval; left out when no source has one.

    Args:
        sources: in the order shown.
        title: what the chart is, for assistive software.
        width: pixels at full size.
    """
    column = label_width([source.name for source in sources], width)
    judged = any(source.accuracy is not None for source in sources)
    key, taken = legend(
        [("s1", "alone"), ("agree", "agrees with others"), ("s2", "conflicts with others")],
        0,
        width,
        0,
    )
    top = taken + 10.0
    bottom = top + max(len(sources), 1) * ROW
    split = column + (width - column - _GAP) * 0.56 if judged else width - 16.0
    cover = scale_over([source.coverage for source in sources], column, split, zero=True, count=4)
    shapes = [key, bottom_axis(cover, top, bottom, "coverage")]
    right = _accuracy_scale(sources, split + _GAP, width - 16.0) if judged else None
    if right:
        shapes.append(bottom_axis(right, top, bottom, "accuracy"))
    for place, source in enumerate(sources):
        middle = top + (place + 0.5) * ROW
        shapes.append(row_label(source.name, column, middle))
        shapes.append(svg.hover(str(source), *_marks(source, cover, right, middle)))
    summary = "; ".join(str(source) for source in sources) or "No sources."
    return svg.drawing(width, bottom + 42, title, summary, *shapes)


def _accuracy_scale(sources: Sequence[Source], start: float, stop: float) -> Scale:
    """End at 1; begin at 0.5 where all are better than chance, else at 0."""
    values = finite(value for source in sources for value in (source.accuracy, source.low))
    return Scale(0.5 if min(values, default=0.0) >= 0.5 else 0.0, 1.0, start, stop)


def _marks(source: Source, cover: Scale, right: Scale | None, middle: float) -> list[Markup]:
    marks = _stack(source, cover, middle)
    if right and source.accuracy is not None:
        ends = finite([source.low, source.high])
        if len(ends) == 2:
            marks.append(svg.line(right(ends[0]), middle, right(ends[1]), middle, "whisker s1"))
        marks.append(svg.circle(right(source.accuracy), middle, 4.5, "dot s1"))
    return marks


def _stack(source: Source, cover: Scale, middle: float) -> list[Markup]:
    parts = [
        (source.coverage - source.overlaps, "s1"),
        (source.overlaps - source.conflicts, "agree"),
        (source.conflicts, "s2"),
    ]
    bars, done = [], 0.0
    for share, class_ in parts:
        start, done = done, done + max(share, 0.0)
        left, end = cover(start), cover(done)
        if end > left:
            bars.append(svg.rect(left, middle - _BAR / 2, end - left, _BAR, f"bar {class_}"))
    return bars
