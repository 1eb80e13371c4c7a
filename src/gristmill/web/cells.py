"""Cells of a table: how each kind of value is printed, aligned and sorted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gristmill.web.scale import finite
from gristmill.web.text import clean, shorten

TEXT_LIMIT = 90
"""Characters of a text cell that are shown; the rest is in its title."""
_TITLE_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Cell:
    """One printed value.

    Attributes:
        body: what is shown.
        number: whether it is right-aligned, in digits of equal width.
        key: what the column sorts by; empty where nothing is known.
        title: the whole text where `body` is cut.
        missing: whether there is no value.
    """

    body: str
    number: bool = False
    key: str = ""
    title: str | None = None
    missing: bool = False


def column_cells(values: Sequence[object]) -> list[Cell]:
    """Print a column: all its floats get the same number of decimals."""
    decimals = _decimals([value for value in values if isinstance(value, float)])
    return [_cell(value, decimals) for value in values]


def is_number_column(cells: Sequence[Cell]) -> bool:
    """Say whether all values that are there are numbers."""
    present = [cell.number for cell in cells if not cell.missing]
    return bool(present) and all(present)


def interval_cell(value: float | None, low: float | None, high: float | None) -> Cell:
    """Print a figure in [0, 1] with its interval beneath: `0.936` over `0.921 – 0.950`."""
    if value is None or not finite([value]):
        return _MISSING
    figure, ends = f"{value:.3f}", finite([low, high])
    if len(ends) < 2:
        return Cell(figure, True, repr(float(value)))
    reach = Markup('{} <small class="range">{:.3f} – {:.3f}</small>').format(figure, *ends)
    return Cell(reach, True, repr(float(value)))


def share_cell(share: object) -> Cell:
    """Print a share in [0, 1] as a percentage; what is no number shows as a dash."""
    if not isinstance(share, int | float) or not finite([share]):
        return _MISSING
    shown = (
        "0 %" if share == 0 else "< 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")
    )
    return Cell(shown, True, repr(float(share)))


def noted_cell(text: str, note: str = "") -> Cell:
    """Print a text with a note in small type beneath, each cut to what a cell shows."""
    shown = shorten(text, TEXT_LIMIT)
    body = Markup('{} <small class="range">{}</small>').format(shown, shorten(note, TEXT_LIMIT))
    return Cell(
        body if note else shown, key=shown.casefold(), title=text if shown != text else None
    )


_MISSING = Cell("–", missing=True)


def _cell(value: object, decimals: int) -> Cell:
    match value:
        case Cell():
            return value
        case None:
            return _MISSING
        case Markup():
            return Cell(value)
        case bool():
            return Cell("yes" if value else "no", key=str(int(value)))
        case int():
            return Cell(f"{value:,}".replace("-", "−"), True, str(value))
        case float():
            return _float(value, decimals)
        case list() | tuple() | set() | frozenset():
            return _text(", ".join(str(part) for part in value))
        case _:
            return _text(str(value))


def _float(value: float, decimals: int) -> Cell:
    if math.isnan(value):
        return _MISSING
    if math.isinf(value):
        return Cell("∞" if value > 0 else "−∞", True, repr(value))
    size = abs(value)
    tiny = size != 0 and round(size, decimals) == 0
    body = f"{value:.2e}" if tiny or size >= 1e12 else f"{value:,.{decimals}f}"
    return Cell(body.replace("-", "−"), True, repr(value))


def _text(value: str) -> Cell:
    shown = shorten(value, TEXT_LIMIT)
    if shown == value:
        return Cell(shown, key=shown.casefold())
    whole = clean(value[:_TITLE_LIMIT]) + ("…" if len(value) > _TITLE_LIMIT else "")
    return Cell(shown, key=shown.casefold(), title=whole)


def _decimals(values: Sequence[float]) -> int:
    """Return decimals that give the largest value of a column about four digits."""
    sizes = [abs(value) for value in finite(values)]
    if not sizes or all(size == int(size) for size in sizes):
        return 0
    largest = max(sizes)
    return 3 if largest < 10 else 2 if largest < 100 else 1 if largest < 10_000 else 0
