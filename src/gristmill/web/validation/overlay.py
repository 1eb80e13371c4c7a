"""Overlay: a baseline as bars and what is current as an outline, on shared bins."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gristmill.web import svg
from gristmill.web.text import fit, text_width
from gristmill.web.validation.numerals import percent
from gristmill.web.validation.shared_bins import SharedBins

MINI = (150.0, 34.0)
_GAP = 7.0
_TICK = 10.5


def mini(bins: SharedBins | None, name: str, class_: str = "mini") -> Markup:
    """Draw both distributions the size of two lines; what is missing stands apart at the right."""
    if bins is None:
        return Markup("")
    width, height = MINI
    plot = _Plot(bins, 0.0, width, 1.0, height - 1)
    return svg.element(
        "svg",
        svg.line(0, height - 0.5, width, height - 0.5, "base"),
        *plot.shapes(),
        class_=class_,
        viewBox=f"0 0 {svg.number(width)} {svg.number(height)}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{name[:60]}: {summary(bins)}",
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
    shapes = [svg.line(0, bottom + 0.5, width, bottom + 0.5, "base"), *plot.shapes()]
    shapes += [_mark(plot, at, bottom) for at in moved]
    if marks:
        shapes += [_note(plot, bins, at, bottom) for at in range(len(bins.names))]
    shapes += _edge_texts(plot, bins, bottom) if bins.edges else _bin_texts(plot, bins, bottom)
    return svg.drawing(width, height, title, summary(bins), *shapes, class_="overlay")


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
        count = max(len(bins.names), 1)
        room = right - left - _GAP if self.apart else right - left
        self.step = room / (count + 1 if self.apart else max(count, 3))
        self.left, self.right = left, right
        shown = [*(bins.baseline or []), *(bins.current or [])]
        self.highest = max(shown, default=0.0) or 1.0

    def x(self, at: int) -> float:
        return self.left + at * self.step

    def y(self, part: float) -> float:
        return self.bottom - min(part / self.highest, 1.0) * (self.bottom - self.top)

    def shapes(self) -> list[Markup]:
        found = []
        if self.bins.baseline is not None:
            found.append(svg.path(self._bars(self.bins.baseline), "old"))
        if self.bins.current is not None:
            alone = self.bins.baseline is None
            shape = self._bars(self.bins.current) if alone else self._steps(self.bins.current)
            found.append(svg.path(shape, "only" if alone else "new"))
        return [*found, *self._missing()]

    def _bars(self, parts: Sequence[float]) -> str:
        gap = 1.0 if self.step > 3 else 0.0
        return "".join(
            _bar(self.x(at), self.y(part), self.step - gap, self.bottom)
            for at, part in enumerate(parts)
            if part > 0
        )

    def _steps(self, parts: Sequence[float]) -> str:
        written = [f"M{svg.number(self.x(0))} {svg.number(self.bottom)}"]
        for at, part in enumerate(parts):
            end = self.x(at + 1) - (1.0 if at == len(parts) - 1 else 0.0)
            written.append(f"V{svg.number(self.y(part))}H{svg.number(end)}")
        return "".join([*written, f"V{svg.number(self.bottom)}"])

    def _missing(self) -> list[Markup]:
        if not self.apart:
            return []
        left, width = self.right - self.step, self.step - 1
        old, new = self.bins.missing
        shapes = []
        if old:
            shapes.append(svg.path(_bar(left, self.y(old), width, self.bottom), "old gone"))
        if new:
            top, base, end = (svg.number(n) for n in (self.y(new), self.bottom, left + width))
            shapes.append(svg.path(f"M{svg.number(left)} {base}V{top}H{end}V{base}", "new gone"))
        return shapes


def _bar(left: float, top: float, width: float, bottom: float) -> str:
    top = min(top, bottom - 0.8)
    x, y, w, base = (svg.number(n) for n in (left, top, max(width, 0.5), bottom))
    return f"M{x} {base}V{y}h{w}V{base}z"


def _mark(plot: _Plot, at: int, bottom: float) -> Markup:
    """Point at a bin from above: up where its share rose, down where it fell."""
    old, new = (plot.bins.baseline or [])[at], (plot.bins.current or [])[at]
    centre = plot.x(at) + plot.step / 2
    high = plot.y(max(old, new)) - 4
    column = svg.rect(plot.x(at), plot.top, plot.step - 1, bottom - plot.top, "moved")
    return column + svg.text(centre, high, "▲" if new > old else "▼", "arrow", "middle")


def _note(plot: _Plot, bins: SharedBins, at: int, bottom: float) -> Markup:
    sides = (("baseline", bins.baseline), ("current", bins.current))
    told = [f"{name} {percent(parts[at])}" for name, parts in sides if parts is not None]
    room = svg.rect(plot.x(at), plot.top, plot.step, bottom - plot.top, "touch")
    return svg.hover(f"{bins.names[at]}: {', '.join(told)}", room)


def _edge_texts(plot: _Plot, bins: SharedBins, bottom: float) -> list[Markup]:
    """Write as many edges as fit without touching, the ends always."""
    last = len(bins.edges) - 1
    end = plot.x(last) - text_width(bins.edges[-1], _TICK) - 10
    texts = [svg.text(plot.x(last), bottom + 14, bins.edges[-1], "tick", "end")]
    free = 0.0
    for at, edge in enumerate(bins.edges[:-1]):
        size = text_width(edge, _TICK)
        start = plot.x(at) if at == 0 else plot.x(at) - size / 2
        if start >= free and start + size < end:
            anchor = "start" if at == 0 else "middle"
            texts.append(svg.text(plot.x(at), bottom + 14, edge, "tick", anchor))
            free = start + size + 12
    if plot.apart:
        texts.append(svg.text(plot.right, 10, "missing", "tick", "end"))
    return texts


def _bin_texts(plot: _Plot, bins: SharedBins, bottom: float) -> list[Markup]:
    """Write the names under the bins, cut to their room; where there is none, every few."""
    every = max(1, round(58 / plot.step))
    room = plot.step * every - 8
    return [
        svg.text(plot.x(at), bottom + 14, fit(name, room, _TICK), "tick")
        for at, name in enumerate(bins.names)
        if at % every == 0
    ]
