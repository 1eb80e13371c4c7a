"""Details of a feature, opened on demand: quantiles, top values side by side, parts few have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from gristmill.web import blocks
from gristmill.web.text import shorten
from gristmill.web.validation import numerals
from gristmill.web.validation.columns import numbers_of
from gristmill.web.validation.escaping import safe
from gristmill.web.validation.feature_parts import Figures, parts_of
from gristmill.web.validation.figures import Pair
from gristmill.web.validation.overlay import wide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

RANKS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
TOP_SHOWN = 20
_VALUES_SHOWN = 25
_VALUE_LIMIT = 60
_CHANGED = " changed"


@dataclass(frozen=True)
class Sheet:
    """A small table: figures by row, one column for each side."""

    title: str
    heads: list[str]
    rows: list[tuple[str, list[str]]]
    note: str = ""


def render_details(pair: Pair, *, lean: bool = False) -> Markup:
    """Write the row that opens under a feature: one `tr`.

    Args:
        pair: the feature.
        lean: leave out what takes milliseconds to derive, and the picture by equal width.
    """
    pictures = []
    if (mass := pair.by_mass) is not None:
        title = f"{shorten(pair.name, 60)}, {_how(mass.over, 'equal mass')}"
        pictures.append((_how(mass.over, "bins of equal mass"), wide(mass, title)))
    if not lean and (even := pair.by_width) is not None:
        title = f"{shorten(pair.name, 60)}, {_how(even.over, 'equal width')}"
        pictures.append((_how(even.over, "bins of equal width"), wide(even, title, marks=False)))
    return blocks.render(
        "validation/details",
        pair=pair,
        name=shorten(pair.name, 300),
        pictures=pictures,
        sheets=[_written(sheet) for sheet in _sheets(pair, lean=lean) if sheet.rows],
        findings=[(one.severity, one.code, shorten(one.message, 400)) for one in pair.findings],
    )


def _written(sheet: Sheet) -> Markup:
    """Write a sheet; not by a template, which takes ten times as long for so many small cells."""
    two = len(sheet.heads) == 2
    rows = "".join(
        f'<tr><th scope="row" dir="auto">{safe(name)}</th>'
        + "".join(
            f'<td class="number{_CHANGED if two and at and cells[0] != cell else ""}">'
            f"{safe(cell)}</td>"
            for at, cell in enumerate(cells)
        )
        + "</tr>"
        for name, cells in sheet.rows
    )
    heads = "".join(f'<th scope="col" class="number">{safe(head)}</th>' for head in sheet.heads)
    note = f' <span class="note">{safe(sheet.note)}</span>' if sheet.note else ""
    return Markup(  # noqa: S704
        f'<div class="sheet"><table><caption>{safe(sheet.title)}{note}</caption>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _how(over: str, words: str) -> str:
    if over == "values":
        return "share of rows by value"
    return f"lengths of texts, {words}" if over == "lengths" else words


def _sheets(pair: Pair, *, lean: bool) -> list[Sheet]:
    heads = [side for side, _ in pair.sides]
    features = [feature for _, feature in pair.sides]
    return [
        _figures(heads, features),
        _quantiles(heads, features),
        _top(heads, features),
        *_parts(heads, [parts_of(feature, pair.name, lean=lean) for feature in features]),
    ]


def _parts(heads: list[str], sides: Sequence[dict[str, Figures]]) -> Iterator[Sheet]:
    """Lay the parts that only some features have side by side."""
    for title in dict.fromkeys(title for side in sides for title in side):
        columns = [side.get(title, {}) for side in sides]
        names = dict.fromkeys(name for column in columns for name in column)
        rows = [(name, [column.get(name, numerals.DASH) for column in columns]) for name in names]
        yield Sheet(title, heads, rows)


def _figures(heads: list[str], features: Sequence[Feature]) -> Sheet:
    rows: list[tuple[str, list[str]]] = []

    def add(name: str, figures: list[str]) -> None:
        if any(figure not in ("", "0") for figure in figures):
            rows.append((name, figures))

    add("rows", [numerals.count(one.rows) for one in features])
    add("missing", [_part_of(one.missing, one.rows) for one in features])
    counted = [one.distinct_count for one in features]
    add("distinct", [numerals.bounded(one.value, one.low, one.high) for one in counted])
    add("types", [", ".join(f"{kind} {n:,}" for kind, n in one.kinds.items()) for one in features])
    add("empty texts", [numerals.count(one.empty) for one in features])
    add("broken encoding", [numerals.count(one.broken) for one in features])
    numbers = [found[1] if (found := numbers_of(one)) else None for one in features]
    for name in ("zeros", "nan", "pos_inf", "neg_inf"):
        label = {"nan": "NaN", "pos_inf": "+∞", "neg_inf": "−∞"}.get(name, name)
        add(label, [numerals.count(getattr(one, name)) if one else "" for one in numbers])
    kinds = [found[0] if (found := numbers_of(one)) else "" for one in features]
    if "times" not in kinds:
        what = " length" if "lengths" in kinds else ""
        add(f"mean{what}", [numerals.figure(one.mean) if one else "" for one in numbers])
        add(f"std{what}", [numerals.figure(one.std) if one else "" for one in numbers])
    else:
        add("span", [_span(one) for one in numbers])
    return Sheet("Figures", heads, rows)


def _part_of(count: int, rows: int) -> str:
    return f"{count:,} ({numerals.share(count, rows)})" if count else "0"


def _span(numbers: Numbers | None) -> str:
    if numbers is None or numbers.low is None or numbers.high is None:
        return ""
    days = (numbers.high - numbers.low) / 86_400_000_000
    return f"{numerals.figure(days)} days" if days >= 2 else f"{numerals.figure(days * 24)} hours"


def _quantiles(heads: list[str], features: Sequence[Feature]) -> Sheet:
    found = [numbers_of(one) for one in features]
    part = next((each[0] for each in found if each is not None), "numbers")
    show: Callable[[float | None], str] = numerals.moment if part == "times" else numerals.figure
    columns = [_marks(each[1], show) if each is not None else [""] * len(RANKS) for each in found]
    names = [
        {0.0: "min", 0.5: "median", 1.0: "max"}.get(one, f"{one * 100:.0f} %") for one in RANKS
    ]
    lines = zip(*columns, strict=True)
    rows = [(name, list(cells)) for name, cells in zip(names, lines, strict=False)]
    errors = [each[1].quantiles.rank_error for each in found if each is not None]
    worst = max(errors, default=0.0)
    note = f"ranks within ± {worst:.2%}".replace("%", " %") if worst else ""
    title = "Quantiles of lengths" if part == "lengths" else "Quantiles"
    return Sheet(title, heads, rows if errors else [], note)


def _marks(numbers: Numbers, show: Callable[[float | None], str]) -> list[str]:
    inner = numbers.quantiles.quantiles(RANKS[1:-1]).tolist()
    return [show(one) for one in [numbers.low, *inner, numbers.high]]


def _top(heads: list[str], features: Sequence[Feature]) -> Sheet:
    if all(_is_spread(feature) for feature in features):
        return Sheet("", heads, [])
    tops = [feature.top(TOP_SHOWN) for feature in features]
    order = list(dict.fromkeys(one.value for top in tops for one in top))[:_VALUES_SHOWN]
    counts = [_counts(one, order) for one in features]
    rows = [
        (
            shorten(value, _VALUE_LIMIT) or "“”",
            [_counted(count, one, value) for count, one in zip(counts, features, strict=True)],
        )
        for value in order
    ]
    loose = any(one.low != one.high for top in tops for one in top)
    note = "≈ within 0.09 % of all values" if loose else ""
    return Sheet("Most frequent values", heads, rows, note)


def _is_spread(feature: Feature) -> bool:
    """Whether no value is frequent, since most occur once."""
    return feature.distinct_count.value > feature.present / 2


def _counts(feature: Feature, wanted: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """Return the count of each wanted value that is known, and whether it is exact."""
    if feature.values is not None:
        known = {one.value: (one.count, one.low == one.high) for one in feature.values.top(1 << 12)}
        return {value: known[value] for value in wanted if value in known}
    counted = feature.numbers.quantiles.value_counts() if feature.numbers is not None else None
    if counted is None:
        return {}
    numbers, counts = counted
    places = np.minimum(np.searchsorted(numbers, _parsed(wanted)), len(numbers) - 1)
    return {
        value: (int(counts[at]), True)
        for value, at, number in zip(wanted, places.tolist(), _parsed(wanted), strict=True)
        if len(numbers) and numbers[at] == number
    }


def _parsed(texts: Sequence[str]) -> NDArray[np.float64]:
    numbers = np.full(len(texts), np.nan)
    for at, text in enumerate(texts):
        try:
            numbers[at] = float(text)
        except ValueError:  # a text of the other side, where the column changed its type
            continue
    return numbers


def _counted(counts: dict[str, tuple[int, bool]], feature: Feature, value: str) -> str:
    if value not in counts:
        return "0" if feature.values is None or feature.values.exact else numerals.DASH
    count, exact = counts[value]
    part = numerals.share(count, feature.present)
    return f"{numerals.count(count, exact=exact)} ({part})"
