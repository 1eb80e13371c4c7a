"""Rows of the feature table: one dense line for the baseline, one for what is current."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from gristmill.web import blocks
from gristmill.web.text import shorten
from gristmill.web.validation import numerals
from gristmill.web.validation.figures import Pair, missing_share, numbers_of
from gristmill.web.validation.flags import flags_of, is_suspicious
from gristmill.web.validation.overlay import mini

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers

NAME_SHOWN = 90
_VALUES_SHOWN = 4
_VALUE_LIMIT = 26
_BADGES = 3


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


def row_of(pair: Pair) -> Row:
    """Lay out the row of a feature."""
    lines = [_line(side, feature) for side, feature in pair.sides]
    badges = list(dict.fromkeys((str(one.severity), one.code) for one in pair.findings))
    mass, width = pair.bins("mass"), pair.bins("width")
    same = width is None or not width.edges
    return Row(
        pair=pair,
        lines=lines,
        flags=flags_of(pair),
        suspicious=is_suspicious(pair),
        over_mass=mini(mass, pair.name, "mini" if same else "mini by-mass"),
        over_width=Markup("") if same else mini(width, pair.name, "mini by-width"),
        badges=badges[:_BADGES],
        more_badges=max(len(badges) - _BADGES, 0),
        numeric=any(line.values is None and line.median for line in lines),
    )


def render_row(pair: Pair) -> Markup:
    """Write the row of a feature: one `tr`."""
    return blocks.render("validation/row", row=row_of(pair), name=shorten(pair.name, NAME_SHOWN))


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
