"""Rows of the feature table: one dense line for the baseline, one for what is current."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from gristmill.web.text import shorten
from gristmill.web.validation import numerals
from gristmill.web.validation.columns import missing_share, numbers_of
from gristmill.web.validation.escaping import safe
from gristmill.web.validation.figures import Pair
from gristmill.web.validation.overlay import mini

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

NAME_SHOWN = 90
_VALUES_SHOWN = 4
_VALUE_LIMIT = 26
_BADGES = 3
_REASON_LIMIT = 400
_FLOOR_NOTE = "Differences up to this are what chance makes"


@dataclass(frozen=True)
class Line:
    """One side of a row: figures as text; `values` stands in where there are no numbers."""

    side: str
    missing: str
    distinct: str
    zeros: str = ""
    mean: str = ""
    low: str = ""
    median: str = ""
    high: str = ""
    values: Markup | None = None
    lengths: bool = False


@dataclass(frozen=True)
class Row:
    """What a template needs to write the row of a feature."""

    pair: Pair
    lines: list[Line]
    flags: dict[str, str]
    suspicious: bool
    over_mass: Markup
    over_width: Markup
    badges: list[tuple[str, str]]
    more_badges: int
    numeric: bool


def row_of(pair: Pair, *, lean: bool = False) -> Row:
    """Lay out the row of a feature; a lean one has no picture by equal width."""
    lines = [_line(side, feature) for side, feature in pair.sides]
    badges = list(dict.fromkeys((str(one.severity), one.code) for one in pair.findings))
    mass, width = pair.by_mass, None if lean else pair.by_width
    return Row(
        pair=pair,
        lines=lines,
        flags=pair.flags,
        suspicious=pair.suspicious,
        over_mass=mini(mass, pair.name, "mini" if width is None else "mini by-mass"),
        over_width=Markup("") if width is None else mini(width, pair.name, "mini by-width"),
        badges=badges[:_BADGES],
        more_badges=max(len(badges) - _BADGES, 0),
        numeric=any(line.values is None and line.median for line in lines),
    )


def render_row(pair: Pair, *, lean: bool = False) -> Markup:
    """Write the row of a feature: one `tr`.

    Not by a template, which takes four times as long: a page may have thousands of rows.
    """
    row = row_of(pair, lean=lean)
    suspicious = " suspicious" if row.suspicious else ""
    if row.numeric or not row.lines:
        middle = "".join(_cell(row, key, label, flag) for key, label, flag in _NUMBER_CELLS)
    else:
        middle = _values_cell(row)
    return Markup(  # noqa: S704
        f'<tr class="pair{suspicious}" id="f{pair.place}">{_name_cell(row)}'
        f'<td class="shape">{row.over_mass}{row.over_width}</td>'
        f'<td class="side">{_divs((line.side, line.side) for line in row.lines)}</td>'
        f"{_cell(row, 'missing', 'missing', 'missing')}"
        f"{_cell(row, 'distinct', 'distinct', 'distinct')}{middle}{_distance_cell(row)}</tr>"
    )


_NUMBER_CELLS = (
    ("zeros", "zeros", "zeros"),
    ("mean", "mean ± std", "mean"),
    ("low", "min", "extremes"),
    ("median", "median", ""),
    ("high", "max", "extremes"),
)
_SIGN = '<b class="flag" role="img" aria-label="suspicious">▲</b>'
_SPACE = "\u00a0"


def _cell(row: Row, key: str, label: str, flag: str) -> str:
    """Write a figure of both sides, with a sign and the reason where it is suspicious."""
    body = [(line.side, safe(getattr(line, key)) or _SPACE) for line in row.lines]
    return _flagged(row, "number", label, flag, body)


def _flagged(row: Row, class_: str, label: str, flag: str, body: list[tuple[str, str]]) -> str:
    reason = row.flags.get(flag)
    if reason is None:
        return f'<td class="{class_}" data-label="{label}">{_divs(body)}</td>'
    if body:
        body = [*body[:-1], (body[-1][0], body[-1][1] + _SIGN)]
    note = safe(shorten(reason, _REASON_LIMIT))
    return f'<td class="{class_} flagged" data-label="{label}" title="{note}">{_divs(body)}</td>'


def _divs(body: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<div class="{side}">{html}</div>' for side, html in body)


def _name_cell(row: Row) -> str:
    pair, name = row.pair, safe(shorten(row.pair.name, NAME_SHOWN))
    kind = f"{pair.kind} · {safe(pair.unit)}" if pair.unit else pair.kind
    reason = row.flags.get("type")
    flagged = "" if reason is None else " flagged"
    note = "" if reason is None else f' title="{safe(shorten(reason, _REASON_LIMIT))}"'
    badges = [f' <span class="code-badge {sev}">{safe(code)}</span>' for sev, code in row.badges]
    if row.more_badges:
        badges.append(f' <span class="code-badge">+{row.more_badges}</span>')
    return (
        f'<td role="rowheader" class="name{flagged}"><button type="button" class="open" '
        f'aria-expanded="false" aria-controls="d{pair.place}" title="{name}"><bdi>{name}</bdi>'
        f'</button> <span class="kind"{note}>{kind}{_SIGN if flagged else ""}</span>'
        f"{''.join(badges)}</td>"
    )


def _values_cell(row: Row) -> str:
    body = [
        (
            line.side,
            (line.values or "no value stands out")
            + (f' <span class="value">{line.zeros}</span>' if line.zeros else ""),
        )
        for line in row.lines
    ]
    cell = _flagged(row, "values", "top values", "content", body)
    return cell.replace("<td ", '<td colspan="5" ', 1)


def _distance_cell(row: Row) -> str:
    drift = row.pair.drift
    if drift is None:
        gone = len(row.lines) == 1 and row.pair.baseline is not None
        body = '<div class="current">gone</div>' if gone else ""
        return f'<td class="number distance" data-label="difference">{body}</td>'
    reason = row.flags.get("distance")
    flagged, sign = ("", "") if reason is None else (" flagged", _SIGN)
    note = "" if reason is None else f' title="{safe(shorten(reason, _REASON_LIMIT))}"'
    return (
        f'<td class="number distance{flagged}" data-label="difference">'
        f'<div class="current"{note}>{drift.distance:.3f}{sign}</div>'
        f'<div class="baseline" title="{_FLOOR_NOTE}">floor {drift.floor:.3f}</div></td>'
    )


def _line(side: str, feature: Feature) -> Line:
    distinct = feature.distinct_count
    line = Line(
        side,
        numerals.percent(missing_share(feature)),
        numerals.count(distinct.value, exact=distinct.exact),
    )
    found = numbers_of(feature)
    values = _top_values(feature) if found is None or found[0] == "lengths" else None
    if found is None or values is not None:
        empty = f"{numerals.share(feature.empty, feature.rows)} empty" if feature.empty else ""
        return Line(side, line.missing, line.distinct, empty, values=values)
    return _number_line(line, *found, feature)


def _number_line(line: Line, part: str, numbers: Numbers, feature: Feature) -> Line:
    show: Callable[[float | None], str] = numerals.moment if part == "times" else numerals.figure
    spread = "" if part == "times" else f" ± {numerals.figure(numbers.std)}"
    return Line(
        line.side,
        line.missing,
        line.distinct,
        zeros="" if part == "times" else numerals.share(numbers.zeros, feature.present),
        mean=f"{show(numbers.mean)}{spread}",
        low=show(numbers.low),
        median=show(float(numbers.quantiles.quantiles([0.5])[0])),
        high=show(numbers.high),
        lengths=part == "lengths",
    )


def _top_values(feature: Feature) -> Markup | None:
    """List the most frequent values with their shares; None where no value is frequent."""
    top = feature.top(_VALUES_SHOWN)
    if not top:
        return None
    shown = [
        Markup('<span class="value"><bdi>{}</bdi> {}</span>').format(
            shorten(one.value, _VALUE_LIMIT) or "“”", numerals.share(one.count, feature.present)
        )
        for one in top
    ]
    return Markup(" ").join(shown)
