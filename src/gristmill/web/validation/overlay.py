"""Overlay: a baseline as bars and what is current as an outline, on shared bins."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.text import fit, shorten, text_width
from gristmill.web.validation.escaping import safe
from gristmill.web.validation.numerals import percent
from gristmill.web.validation.shared_bins import SharedBins

MINI = (150.0, 34.0)
_GAP = 7.0
_TICK = 10.5
_NAME_LIMIT = 120


def mini(bins: SharedBins | None, name: str, class_: str = "mini") -> Markup:
    """Draw both distributions the size of two lines; what is missing stands apart at the right."""
    if bins is None:
        return Markup("")
    width, height = MINI
    plot = _Plot(bins, 0.0, width, 1.0, height - 1)
    label = safe(shorten(f"{name[:60]}: {summary(bins)}", 300))
    return Markup(  # noqa: S704
        f'<svg class="{class_}" viewBox="0 0 {width:.0f} {height:.0f}" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}">{_base(width, height - 0.5)}{plot.shapes()}</svg>'
    )


def wide(
    bins: SharedBins, title: str, *, width: int = 460, height: int = 150, marks: bool = True
) -> Markup:
    """Draw both distributions with their edges written out; bins that moved most are marked.

    Args:
        bins: what to draw.
        title: what the picture is, for assistive software.
        width: pixels.
        height: pixels.
        marks: whether bins carry notes, and those that moved most are pointed at.
    """
    bottom = height - 20.0
    plot = _Plot(bins, 0.0, float(width), 14.0, bottom)
    moved = bins.moved() if marks else []
    shapes = [_base(width, bottom + 0.5), plot.shapes()]
    shapes += [_mark(plot, at, bottom) for at in moved]
    if marks:
        shapes += _notes(plot, bins, bottom)
    shapes += _edge_texts(plot, bins, bottom) if bins.edges else _bin_texts(plot, bins, bottom)
    body = Markup("".join(shapes))  # noqa: S704
    return svg.drawing(width, height, title, summary(bins), body, class_="overlay")


def _base(width: float, y: float) -> str:
    return f'<path d="M0 {y:.1f}H{width}" class="base"></path>'


def _path(data: str, class_: str) -> str:
    return f'<path d="{data}" class="{class_}"></path>'


def _text(x: float, y: float, text: str, class_: str = "tick", anchor: str = "start") -> str:
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{class_}"{place}>{safe(text)}</text>'


def summary(bins: SharedBins) -> str:
    """Say in a sentence what the picture shows."""
    if bins.baseline is None or bins.current is None:
        shares = bins.current if bins.current is not None else bins.baseline or []
        top = max(range(len(shares)), key=shares.__getitem__, default=None)
        return "" if top is None else f"most in {bins.names[top][:40]} ({percent(shares[top])})"
    told = [
        f"{bins.names[at][:40]} from {percent(bins.baseline[at])} to {percent(bins.current[at])}"
        for at in bins.moved()
    ]
    return f"moved most: {'; '.join(told)}" if told else "no bin moved by 1 % or more"


class _Plot:
    """Bins laid out between `left` and `right`, `top` and `bottom`."""

    def __init__(
        self, bins: SharedBins, left: float, right: float, top: float, bottom: float
    ) -> None:
        self.bins, self.top, self.bottom = bins, top, bottom
        self.apart = any(bins.missing)
        count = max(len(bins), 1)
        room = right - left - _GAP if self.apart else right - left
        self.step = room / (count + 1 if self.apart else max(count, 3))
        self.left, self.right = left, right
        shown = [*(bins.baseline or []), *(bins.current or [])]
        self.highest = max(shown, default=0.0) or 1.0

    def x(self, at: int) -> float:
        return self.left + at * self.step

    def y(self, part: float) -> float:
        return self.bottom - min(part / self.highest, 1.0) * (self.bottom - self.top)

    def shapes(self) -> str:
        found = []
        if self.bins.baseline is not None:
            found.append(_path(self._bars(self.bins.baseline), "old"))
        if self.bins.current is not None:
            alone = self.bins.baseline is None
            shape = self._bars(self.bins.current) if alone else self._steps(self.bins.current)
            found.append(_path(shape, "only" if alone else "new"))
        return "".join([*found, *self._missing()])

    def _bars(self, parts: Sequence[float]) -> str:
        width = self.step - (1.0 if self.step > 3 else 0.0)
        return "".join(
            _bar(self.x(at), self.y(part), width, self.bottom)
            for at, part in enumerate(parts)
            if part > 0
        )

    def _steps(self, parts: Sequence[float]) -> str:
        last = len(parts) - 1
        steps = [
            f"V{self.y(part):.1f}H{self.x(at + 1) - (at == last):.1f}"
            for at, part in enumerate(parts)
        ]
        return f"M{self.x(0):.1f} {self.bottom:.1f}{''.join(steps)}V{self.bottom:.1f}"

    def _missing(self) -> list[str]:
        if not self.apart:
            return []
        left, width = self.right - self.step, self.step - 1
        old, new = self.bins.missing
        shapes = []
        if old:
            shapes.append(_path(_bar(left, self.y(old), width, self.bottom), "old gone"))
        if new:
            base = f"{self.bottom:.1f}"
            outline = f"M{left:.1f} {base}V{self.y(new):.1f}h{width:.1f}V{base}"
            shapes.append(_path(outline, "new gone"))
        return shapes


def _bar(left: float, top: float, width: float, bottom: float) -> str:
    top = min(top, bottom - 0.8)
    return f"M{left:.1f} {bottom:.1f}V{top:.1f}h{max(width, 0.5):.1f}V{bottom:.1f}z"


def _mark(plot: _Plot, at: int, bottom: float) -> str:
    """Point at a bin from above: up where its share rose, down where it fell."""
    old, new = (plot.bins.baseline or [])[at], (plot.bins.current or [])[at]
    left, top, right = plot.x(at), plot.top, plot.x(at) + plot.step - 1
    column = _path(f"M{left:.1f} {bottom:.1f}V{top:.1f}H{right:.1f}V{bottom:.1f}z", "moved")
    high = plot.y(max(old, new)) - 4
    return column + _text(left + plot.step / 2, high, "▲" if new > old else "▼", "arrow", "middle")


def _notes(plot: _Plot, bins: SharedBins, bottom: float) -> list[str]:
    """Give each bin a note that the browser shows under the pointer."""
    sides = (("baseline", bins.baseline), ("current", bins.current))
    place = f'y="{plot.top:.1f}" width="{plot.step:.1f}" height="{bottom - plot.top:.1f}"'
    notes = []
    names = bins.names if bins.edges else [shorten(one, _NAME_LIMIT) for one in bins.names]
    for at, name in enumerate(names):
        told = [f"{side} {percent(parts[at])}" for side, parts in sides if parts is not None]
        note = safe(f"{name}: {', '.join(told)}")
        room = f'<rect x="{plot.x(at):.1f}" {place} class="touch"></rect>'
        notes.append(f"<g><title>{note}</title>{room}</g>")
    return notes


def _edge_texts(plot: _Plot, bins: SharedBins, bottom: float) -> list[str]:
    """Write as many edges as fit without touching, the ends always."""
    last = len(bins.edges) - 1
    end = plot.x(last) - text_width(bins.edges[-1], _TICK) - 10
    texts = [_text(plot.x(last), bottom + 14, bins.edges[-1], anchor="end")]
    free = 0.0
    for at, edge in enumerate(bins.edges[:-1]):
        size = text_width(edge, _TICK)
        start = plot.x(at) if at == 0 else plot.x(at) - size / 2
        if start >= free and start + size < end:
            anchor = "start" if at == 0 else "middle"
            texts.append(_text(plot.x(at), bottom + 14, edge, anchor=anchor))
            free = start + size + 12
    if plot.apart:
        texts.append(_text(plot.right, 10, "missing", anchor="end"))
    return texts


def _bin_texts(plot: _Plot, bins: SharedBins, bottom: float) -> list[str]:
    """Write the names under the bins, cut to their room; where there is none, every few."""
    longest = max((text_width(name[:30], _TICK) for name in bins.names), default=0.0)
    every = max(1, round(min(max(longest + 8, 58), 90) / plot.step))
    room = plot.step * every - 8
    return [
        _text(plot.x(at), bottom + 14, fit(name, room, _TICK))
        for at, name in enumerate(bins.names)
        if at % every == 0
    ]
