"""Heat map: a square matrix of shares between named things."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gristmill.core.errors import UsageError
from gristmill.web import svg
from gristmill.web.charts.axes import WIDE, label_width, row_label
from gristmill.web.scale import finite
from gristmill.web.text import shorten

Matrix = Sequence[Sequence[float | None]]

_STEPS = 10
_NUMBER = 18.0
_ROOM_FOR_TEXT = 30.0


def heat_map(names: Sequence[str], matrix: Matrix, *, title: str, width: int = WIDE) -> Markup:
    """Draw a square matrix of values in [0, 1]; the diagonal stays empty.

    Rows carry number and name, columns the number alone, so that no text is turned or overlaps.

    Args:
        names: of the k rows, which are also the columns.
        matrix: k rows of k values; None or NaN where there is nothing to compare.
        title: what the chart is, for assistive software.
        width: pixels at full size.

    Raises:
        UsageError: the matrix is not k by k.
    """
    _check(names, matrix)
    count = max(len(names), 1)
    labels = label_width(names, width)
    column = labels + _NUMBER
    cell = min((width - column) / count, 40.0)
    high = min(max(cell, 14.0), 26.0)
    heads = [
        svg.text(column + (place + 0.5) * cell, 12, str(place + 1), "tick", "middle")
        for place in range(len(names))
        if cell >= 14 or place % 2 == 0
    ]
    rows = [
        row_label(name, labels, middle)
        + svg.text(column - 6, middle + 4, str(place + 1), "tick", "end")
        for place, name in enumerate(names)
        for middle in [20 + (place + 0.5) * high]
    ]
    cells = [
        _cell(names, matrix, (row, other), column + other * cell, 20 + row * high, (cell, high))
        for row in range(len(names))
        for other in range(len(names))
    ]
    return svg.drawing(
        column + count * cell,
        22 + count * high,
        title,
        _summary(names, matrix),
        *heads,
        *rows,
        *cells,
    )


def _check(names: Sequence[str], matrix: Matrix) -> None:
    sizes = [len(matrix), *(len(row) for row in matrix)]
    wrong = [size for size in sizes if size != len(names)]
    if wrong:
        raise UsageError(
            f"expected a matrix of {len(names)} by {len(names)} for {len(names)} names, "
            f"found a side of {wrong[0]}"
        )


def _cell(
    names: Sequence[str],
    matrix: Matrix,
    place: tuple[int, int],
    x: float,
    y: float,
    size: tuple[float, float],
) -> Markup:
    row, column = place
    value = matrix[row][column]
    shown = value is not None and bool(finite([value])) and row != column
    level = min(max(round((value or 0.0) * _STEPS), 0), _STEPS) if shown else None
    class_ = "void" if level is None else f"heat h{level}"
    box = svg.rect(x + 0.75, y + 0.75, size[0] - 1.5, size[1] - 1.5, class_, rx=2)
    if value is None or level is None:
        return box
    ink = "on-dark" if level > 5 else "on-light"
    wide = size[0] >= _ROOM_FOR_TEXT and size[1] >= 18
    middle = (x + size[0] / 2, y + size[1] / 2 + 4)
    figure = svg.text(*middle, f"{value:.2f}", f"cell {ink}", "middle") if wide else Markup("")
    return svg.hover(f"{_pair(names, row, column)}: {value:.3f}", box, figure)


def _pair(names: Sequence[str], row: int, column: int) -> str:
    # A note stands on every cell, so its size counts k squared times.
    return f"{shorten(names[row], 40)} and {shorten(names[column], 40)}"


def _summary(names: Sequence[str], matrix: Matrix) -> str:
    pairs = [
        (value, f"{_pair(names, row, column)}: {value:.2f}")
        for row in range(len(names))
        for column in range(row)
        if (value := matrix[row][column]) is not None and finite([value])
    ]
    lowest = "; ".join(text for _, text in sorted(pairs)[:5])
    return f"{len(names)} by {len(names)}. Lowest: {lowest}." if pairs else "No values."
