"""Labelling: what each labelling function does, alone and among the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gristmill.core.quantities import format_count
from gristmill.web.cells import interval_cell
from gristmill.web.charts import Source, bar_chart, calibration_curve, heat_map, source_plot
from gristmill.web.charts.calibration import Bin
from gristmill.web.charts.heatmap import Matrix
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import (
    Record,
    Records,
    as_records,
    figure_of,
    name_of,
    triple_of,
)

MAX_DRAWN = 60
MAX_MAPPED = 24

_NAMES = ("name", "source", "function", "lf")
_ACCURACY = ("accuracy", "gold_accuracy", "empirical_accuracy")
_LOW = ("accuracy_low", "low")
_HIGH = ("accuracy_high", "high")


def labelling_section(
    report: Report,
    analysis_table: Records,
    *,
    agreement: Matrix | None = None,
    excess: Matrix | None = None,
    classes: Mapping[str, float] | None = None,
    calibration: Sequence[Bin] | None = None,
    examples: Records | None = None,
    title: str = "Labelling functions",
    lead: str = "How much each function covers, meets others, and is right on gold rows.",
) -> Section:
    """Add the analysis of labelling functions.

    Args:
        report: where to add.
        analysis_table: one row per function: `name` (or `source`, `function`), `coverage`,
            `overlaps` and `conflicts` as shares of all rows, and optionally `accuracy` (a number
            or a (value, low, high)) with `accuracy_low` and `accuracy_high`. All its columns are
            shown in the table.
        agreement: k rows of k shares: how often two functions agree where both vote, in the
            order of the table.
        excess: the same for how much more often than by chance they say the same.
        classes: labelled rows by class.
        calibration: (mean predicted, observed share, rows) of the label model on gold rows.
        examples: labelled rows to show: any columns.
        title: heading.
        lead: the sentence under it.
    """
    rows = as_records(analysis_table, "labelling analysis")
    names = [name_of(row, place, *_NAMES) for place, row in enumerate(rows)]
    section = report.section(title, lead)
    sources = [_source(row, name) for row, name in zip(rows, names, strict=True)]
    drawn = [sources[place] for place in _foremost([s.coverage for s in sources], MAX_DRAWN)]
    section.figure(
        lambda width: source_plot(drawn, title="Coverage and accuracy by function", width=width),
        "Coverage and accuracy by function" + _of(drawn, sources, "cover most"),
    )
    _add_table(section, _with_intervals(rows, sources), "All figures")
    conflicts = [source.conflicts for source in sources]
    if agreement is not None:
        _add_matrix(section, names, agreement, conflicts, "Agreement where both vote")
    if excess is not None:
        caption = "Saying the same more often than independent functions would"
        _add_matrix(section, names, excess, conflicts, caption)
    if classes is not None:
        _add_classes(section, classes)
    if calibration is not None:
        section.figure(
            lambda width: calibration_curve(calibration, title="Calibration", width=width),
            "Label model: predicted against observed",
        )
    if examples is not None:
        _add_table(section, as_records(examples, "labelled examples"), "Examples of labelled rows")
    return section


def _add_matrix(
    section: Section,
    names: Sequence[str],
    matrix: Matrix,
    conflicts: Sequence[float],
    caption: str,
) -> None:
    places = _foremost(conflicts, MAX_MAPPED) if len(matrix) == len(names) else range(len(names))
    kept = [names[place] for place in places]
    part = [[row[place] for place in places] for row in (matrix[place] for place in places)]
    square = part if len(places) < len(names) else matrix
    section.figure(
        lambda width: heat_map(kept, square, title=caption, width=width),
        caption + _of(kept, names, "conflict most"),
    )


def _foremost(values: Sequence[float], most: int) -> Sequence[int]:
    """Return the places of the largest values, in their order; a page must stay small."""
    if len(values) <= most:
        return range(len(values))
    return sorted(sorted(range(len(values)), key=lambda place: -values[place])[:most])


def _of(kept: Sequence[object], every: Sequence[object], why: str) -> str:
    few = len(kept) < len(every)
    return f" (the {len(kept)} of {len(every)} that {why})" if few else ""


def _add_classes(section: Section, classes: Mapping[str, float]) -> None:
    bars = [(str(name), float(count)) for name, count in classes.items()]
    section.figure(
        lambda width: bar_chart(bars, title="Rows by class", show=format_count, width=width),
        "Rows by class",
    )


def _add_table(section: Section, rows: Sequence[Record], caption: str) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    values = [[row.get(key) for key in columns] for row in rows]
    section.table([column.replace("_", " ") for column in columns], values, caption)


def _with_intervals(rows: Sequence[Record], sources: Sequence[Source]) -> list[Record]:
    """Fold the ends of the accuracy's interval into its own cell."""
    folded: list[Record] = []
    for row, source in zip(rows, sources, strict=True):
        key = next((key for key in _ACCURACY if key in row), None)
        kept = {name: value for name, value in row.items() if name not in (*_LOW, *_HIGH)}
        cell = interval_cell(source.accuracy, source.low, source.high)
        folded.append(kept | {key: cell} if key else kept)
    return folded


def _source(row: Record, name: str) -> Source:
    accuracy, low, high = next(
        (triple for key in _ACCURACY if (triple := triple_of(row.get(key)))[0] is not None),
        (None, None, None),
    )
    return Source(
        name,
        figure_of(row, "coverage") or 0.0,
        figure_of(row, "overlaps", "overlap") or 0.0,
        figure_of(row, "conflicts", "conflict") or 0.0,
        accuracy,
        low if low is not None else figure_of(row, *_LOW),
        high if high is not None else figure_of(row, *_HIGH),
    )
