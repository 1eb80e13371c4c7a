"""A timeline drawn: devices down, seconds across, a colour for each trial, light for forward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from gristmill.core.quantities import format_seconds
from gristmill.train.tasks.timeline import Interval, Timeline
from gristmill.train.tasks.trace import LETTERS, label

_ROW, _GAP, _LEFT, _TOP = 22, 4, 76, 26
_MOST_ROWS = 64
_LEGEND_WIDTH = 120
_TICKS = 6
_GOLDEN_ANGLE = 137.508
_DRAWN = 0.4
"""Pixels below which neighbours of the same trial and kind become one box."""

_LIGHTNESS = {"forward": 72, "backward": 52, "step": 60, "evaluate": 80}
_STYLE = """
.gantt{--paper:#fff;--ink:#1c1c1c;--faint:#d8d8d8;--lane:#f3f3f3;
font:11px system-ui,sans-serif;background:var(--paper)}
.gantt text{fill:var(--ink)}.gantt .on{fill:#111;pointer-events:none}
.gantt .lane{fill:var(--lane)}.gantt .tick{stroke:var(--faint)}
@media(prefers-color-scheme:dark){.gantt{--paper:#16181c;--ink:#e6e6e6;--faint:#3a3d44;
--lane:#202329}}
"""


def to_svg(
    timeline: Timeline,
    names: Mapping[int, str] | None = None,
    *,
    title: str = "",
    width: int = 1000,
) -> str:
    """Return a timeline as one SVG element that needs nothing else, for light and dark pages.

    Args:
        timeline: one that kept its intervals; the first 64 devices are drawn.
        names: of the trials.
        title: a line above it.
        width: in pixels.
    """
    names = {} if names is None else names
    rows = timeline.by_device()[:_MOST_ROWS]
    span = timeline.makespan or 1.0
    first = timeline.start if timeline.tasks else 0.0
    scale = (width - _LEFT - 10) / span
    trials = sorted({each.task.trial for row in rows for each in row})
    bottom = _TOP + len(rows) * (_ROW + _GAP)
    height = bottom + 42 + 16 * -(-max(len(trials), 1) // _per_line(width))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gantt" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{escape(title or "timeline")}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" style="fill:var(--paper)"/>',
        f'<text x="{_LEFT}" y="16">{escape(_heading(timeline, title))}</text>',
        *_axis(span, scale, bottom),
    ]
    for number, row in enumerate(rows):
        parts += _lane(number, row, first, scale, width, names)
    parts += _legend(trials, names, bottom + 32, width)
    return "".join([*parts, "</svg>"])


def to_html(
    timeline: Timeline, names: Mapping[int, str] | None = None, *, title: str = "Timeline"
) -> str:
    """Return a page of its own with the drawing."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>"
        "<style>body{margin:1rem;background:#fff}svg{max-width:100%;height:auto}"
        "@media(prefers-color-scheme:dark){body{background:#16181c}}</style>"
        f"<body>{to_svg(timeline, names, title=title)}</body></html>"
    )


def _heading(timeline: Timeline, title: str) -> str:
    told = f"{format_seconds(timeline.makespan)}, {timeline.utilisation:.1%} busy"
    more = timeline.devices - _MOST_ROWS
    return ": ".join(filter(None, [title, told])) + (f"; {more} more devices" if more > 0 else "")


def _axis(span: float, scale: float, bottom: int) -> Iterator[str]:
    for tick in range(_TICKS + 1):
        x = _LEFT + span * tick / _TICKS * scale
        anchor = "end" if tick == _TICKS else "middle"
        yield f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{bottom}"/>'
        yield (
            f'<text x="{x:.1f}" y="{bottom + 12}" text-anchor="{anchor}">'
            f"{escape(format_seconds(span * tick / _TICKS))}</text>"
        )


def _lane(
    number: int,
    row: Sequence[Interval],
    first: float,
    scale: float,
    width: int,
    names: Mapping[int, str],
) -> Iterator[str]:
    y = _TOP + number * (_ROW + _GAP)
    yield f'<text x="4" y="{y + 15}">device {number}</text>'
    yield f'<rect class="lane" x="{_LEFT}" y="{y}" width="{width - _LEFT - 10}" height="{_ROW}"/>'
    for each, end in _joined(row, scale):
        x, wide = _LEFT + (each.start - first) * scale, (end - each.start) * scale
        trial = names.get(each.task.trial, f"trial {each.task.trial}")
        yield (
            f'<rect x="{x:.2f}" y="{y}" width="{max(wide, 0.2):.2f}" height="{_ROW}" '
            f'fill="{colour(each.task.trial, each.task.kind)}"><title>{escape(trial)}: '
            f"{escape(str(each.task))}, {escape(format_seconds(end - each.start))}</title></rect>"
        )
        text = label(each.task)
        if wide > 8 * len(text):
            middle = x + wide / 2
            at = f'x="{middle:.1f}" y="{y + 15}" text-anchor="middle"'
            yield f'<text class="on" {at}>{text}</text>'


def _joined(row: Sequence[Interval], scale: float) -> Iterator[tuple[Interval, float]]:
    """Yield boxes with their ends, thin neighbours that look alike as one."""
    open_, end = None, 0.0
    for each in row:
        thin = (each.end - each.start) * scale < _DRAWN
        if open_ is not None and thin and _alike(open_, each) and (each.start - end) * scale < 1:
            end = each.end
            continue
        if open_ is not None:
            yield open_, end
        open_, end = each, each.end
    if open_ is not None:
        yield open_, end


def _alike(one: Interval, other: Interval) -> bool:
    return one.task.trial == other.task.trial and one.task.kind == other.task.kind


def colour(trial: int, kind: str) -> str:
    """Return the colour of a trial's tasks of a kind; neighbouring trials differ the most."""
    hue = (210 + trial * _GOLDEN_ANGLE) % 360
    return f"hsl({hue:.0f},65%,{_LIGHTNESS.get(kind, 38)}%)"


def _per_line(width: int) -> int:
    return max((width - _LEFT) // _LEGEND_WIDTH, 1)


def _legend(trials: Sequence[int], names: Mapping[int, str], top: int, width: int) -> Iterator[str]:
    letters = ", ".join(f"{letter} {kind}" for kind, letter in LETTERS.items())
    yield f'<text x="{_LEFT}" y="{top}">{letters}</text>'
    for number, trial in enumerate(trials):
        line, column = divmod(number, _per_line(width))
        x, y = _LEFT + column * _LEGEND_WIDTH, top + 16 * (line + 1)
        name = escape(names.get(trial, f"trial {trial}"))[:18]
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour(trial, "step")}"/>'
        yield f'<text x="{x + 14}" y="{y}">{name}</text>'
