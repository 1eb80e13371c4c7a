"""Terminal tables of validation as plain text: findings, features side by side, histograms."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gristmill.validate.checks.report import evidence_lines
from gristmill.validate.drifts.drift import measure
from gristmill.validate.statistics.histograms import histogram

if TYPE_CHECKING:
    from gristmill.validate.checks.findings import Finding
    from gristmill.validate.checks.report import Report
    from gristmill.validate.drifts.drift import Drift
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.statistics import Statistics

WIDTH = 80
SHOWN = 50
"""Features that a terminal shows; more would push the findings out of sight."""
FINDINGS_SHOWN = 100
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#%@"
_BINS = 8
_GAP = 2
_DASH = "-"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NAME_LEAST = 8
_EVIDENCE_LINES = 8
_LONGEST = 4000
_WHOLE = 1_000_000
_SHORT = 1000

Column = tuple[str, bool]
"""A heading, and whether its cells stand at the right."""


def findings_block(findings: Sequence[Finding], width: int = WIDTH) -> str:
    """Write findings one under the other: a head line, the message wrapped, then the evidence."""
    return "\n\n".join("\n".join(_finding(one, width)) for one in findings)


def feature_table(
    statistics: Statistics,
    width: int = WIDTH,
    *,
    ascii_only: bool = False,
    most: int | None = SHOWN,
) -> str:
    """Write a table of one line a feature: type, missing, distinct, extremes, shape.

    Args:
        statistics: of a table.
        width: columns of the terminal.
        ascii_only: use ASCII alone.
        most: how many features are shown, the first ones; the rest are counted. None shows all.
    """
    heads: list[Column] = [
        ("feature", False),
        ("type", False),
        ("missing", True),
        ("distinct", True),
        ("min", True),
        ("median", True),
        ("max", True),
        ("shape", False),
    ]
    rows = [
        [name, *_figures(feature), spark(feature, ascii_only=ascii_only)]
        for name, feature in list(statistics.features.items())[:most]
    ]
    return _with_rest(grid(heads, rows, width), len(statistics.features) - len(rows), "")


def comparison_table(
    current: Statistics,
    baseline: Statistics,
    drift: Sequence[Drift] = (),
    width: int = WIDTH,
    *,
    ascii_only: bool = False,
    most: int | None = SHOWN,
) -> str:
    """Write baseline and current side by side, the largest distance first; `!` marks an alarm.

    Args:
        current, baseline: statistics of both tables.
        drift: the distances; measured here where none are given.
        width: columns of the terminal.
        ascii_only: use ASCII alone.
        most: how many features are shown; the rest, which differ less, are counted. None shows all.
    """
    measured = {one.feature: one for one in drift or _measured(current, baseline)}
    names = list(dict.fromkeys([*current.features, *baseline.features]))
    names.sort(key=lambda name: -(measured[name].distance if name in measured else 0.0))
    heads: list[Column] = [
        ("feature", False),
        ("missing", True),
        ("median", True),
        ("baseline", False),
        ("current", False),
        ("distance", True),
    ]
    rows = []
    for name in names[:most]:
        old, new = baseline.features.get(name), current.features.get(name)
        shapes = [spark(side, ascii_only=ascii_only, like=old or new) for side in (old, new)]
        missing = _pair(_missing(old), _missing(new), ascii_only)
        median = _pair(_median(old), _median(new), ascii_only)
        rows.append([name, missing, median, *shapes, _distance(measured.get(name))])
    return _with_rest(grid(heads, rows, width), len(names) - len(rows), " that differ less")


def _measured(current: Statistics, baseline: Statistics) -> list[Drift]:
    """Measure the distance of every feature that both tables have."""
    shared = [name for name in current.features if name in baseline.features]
    found = [measure(name, baseline.features[name], current.features[name]) for name in shared]
    return [drift for drift in found if drift is not None]


def _with_rest(table: str, rest: int, words: str) -> str:
    if rest <= 0:
        return table
    many = "feature" if rest == 1 else "features"
    return f"{table}\nand {rest:,} more {many}{words}; --json or --page shows all"


def report_lines(report: Report, width: int = WIDTH, *, ascii_only: bool = False) -> list[str]:
    """Return what a terminal shows of a report: verdict, findings, the features side by side."""
    lines = [printable(report.verdict)]
    if report.findings:
        lines += ["", findings_block(report.findings[:FINDINGS_SHOWN], width)]
    if (more := len(report.findings) - FINDINGS_SHOWN) > 0:
        words = "finding" if more == 1 else "findings"
        lines += ["", f"and {more:,} more {words}; --json or --page shows all"]
    current, before = report.current, report.before
    if current is not None and before is not None and current.rows:
        table = comparison_table(current, before, report.drift, width, ascii_only=ascii_only)
        lines += ["", table]
    return lines


def spark(feature: Feature | None, *, ascii_only: bool = False, like: Feature | None = None) -> str:
    """Draw a distribution in eight block characters, the highest bin full.

    Args:
        feature: whose values, times, or else lengths are drawn; frequent values of categories.
        ascii_only: use ASCII in place of block characters.
        like: the feature that gives the bins, so that two drawings compare; itself by default.
    """
    if feature is None:
        return ""
    counts = _spark_counts(feature, like or feature)
    top = max(counts, default=0.0)
    marks = _ASCII if ascii_only else _BLOCKS
    if top <= 0:
        return ""
    return "".join(
        marks[max(round(count / top * (len(marks) - 1)), 1 if count > 0 else 0)] for count in counts
    )


def grid(heads: Sequence[Column], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """Lay out a table that fits `width`: names, in the first column, are cut in their middle."""
    cells = [[printable(cell) for cell in row] for row in [[name for name, _ in heads], *rows]]
    sizes = [max(map(columns_of, column)) for column in zip(*cells, strict=True)]
    room = width - sum(sizes[1:]) - _GAP * (len(sizes) - 1)
    sizes[0] = max(min(sizes[0], room), _NAME_LEAST)
    lines = []
    for row in cells:
        shown = [cut_middle(cell, size) for cell, size in zip(row, sizes, strict=True)]
        padded = [
            _pad(cell, size, right=right)
            for cell, size, (_, right) in zip(shown, sizes, heads, strict=True)
        ]
        lines.append((" " * _GAP).join(padded).rstrip())
    rule = "-" * min(sum(sizes) + _GAP * (len(sizes) - 1), max(width, 1))
    return "\n".join([lines[0], rule, *lines[1:]])


def cut_middle(text: str, width: int) -> str:
    """Cut a text to `width` columns of a terminal, keeping its head and its tail."""
    if columns_of(text) <= width:
        return text
    head, tail = width // 2, (width - 1) // 2
    return f"{_take(text, head)}…{_take(text[::-1], tail)[::-1]}"


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide characters take two."""
    return sum(map(_columns, text))


def printable(text: str) -> str:
    """Spell out characters that move the cursor, change colours or turn the line around."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or character in "\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _take(text: str, width: int) -> str:
    taken = 0
    for at, character in enumerate(text):
        taken += _columns(character)
        if taken > width:
            return text[:at]
    return text


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - columns_of(text))
    return space + text if right else text + space


def _finding(finding: Finding, width: int) -> list[str]:
    place = "(table)" if finding.feature is None else printable(finding.feature)
    head = f"{finding.severity.upper()}  {finding.code}  "
    lines = [head + cut_middle(place, max(width - columns_of(head), _NAME_LEAST))]
    lines += _wrapped(finding.message, width, 2, most=None)
    for line in evidence_lines(finding)[:_EVIDENCE_LINES]:
        lines += _wrapped(line, width, 4, most=2)
    return lines


def _wrapped(text: str, width: int, indent: int, most: int | None) -> list[str]:
    return textwrap.wrap(
        printable(text)[:_LONGEST],
        max(width, 20),
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        max_lines=most,
        placeholder=" …",
        break_on_hyphens=False,
    )


def _figures(feature: Feature) -> list[str]:
    distinct = feature.distinct_count
    count = f"{'' if distinct.exact else '~'}{distinct.value:,.0f}"
    numbers = feature.numbers
    ends = [_short(numbers.low), _median(feature), _short(numbers.high)] if numbers else [_DASH] * 3
    if feature.times is not None:
        ends = [_day(feature.times.low), _DASH, _day(feature.times.high)]
    return [feature.kind, _missing(feature), count, *ends]


def _missing(feature: Feature | None) -> str:
    if feature is None or not feature.rows:
        return _DASH
    return f"{100 * feature.missing / feature.rows:.1f} %"


def _median(feature: Feature | None) -> str:
    numbers = feature.numbers if feature is not None else None
    return _short(float(numbers.quantiles.quantiles([0.5])[0])) if numbers and numbers.n else _DASH


def _short(number: float | None) -> str:
    if number is None:
        return _DASH
    size = abs(number)
    if size < _WHOLE and (number == int(number) or size >= _SHORT):
        return f"{number:.0f}"
    return f"{number:.3g}".replace("e+0", "e").replace("e+", "e")


def _day(microseconds: float | None) -> str:
    if microseconds is None:
        return _DASH
    return str(np.datetime64(int(microseconds), "us").astype("datetime64[D]"))


def _pair(old: str, new: str, ascii_only: bool) -> str:
    return old if old == new else f"{old} {'->' if ascii_only else '→'} {new}"


def _distance(drift: Drift | None) -> str:
    return _DASH if drift is None else f"{drift.distance:.3f}{'!' if drift.alarm else ' '}"


def _spark_counts(feature: Feature, like: Feature) -> list[float]:
    for part in ("numbers", "times"):
        edges, numbers = getattr(like, part), getattr(feature, part)
        if edges is not None and numbers is not None:
            inner = np.array(histogram(edges, _BINS, by="width").edges[1:-1])
            counts: list[float] = numbers.quantiles.counts_between(inner).tolist()
            return counts
    known = [top.value for top in like.top(_BINS)]
    found = {top.value: top.count for top in feature.top(1 << 12)}
    return [float(found.get(value, 0)) for value in known]
