"""Comparison: candidates side by side on the same rows, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.web.cells import interval_cell
from gristmill.web.charts import Estimate, interval_plot
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Record, Records, as_records, name_of, triple_of

FIGURES = ("precision", "recall", "f1")
_SPELLING = {"f1": "F1", "auc": "AUC", "roc_auc": "ROC AUC"}


def comparison_section(
    report: Report,
    rows: Records,
    *,
    figures: Sequence[str] = FIGURES,
    plotted: str = "f1",
    highlight: str | None = None,
    reference: str | None = None,
    title: str = "Comparison",
    lead: str = "Every candidate on the same rows, with 95 % intervals.",
) -> Section:
    """Add the comparison table and an interval plot.

    Args:
        report: where to add.
        rows: one per candidate: `name`, and per figure a (value, low, high), an
            `Interval`, or a number. Other keys are shown as columns of their own.
        figures: the keys that hold figures in [0, 1].
        plotted: the figure in the plot.
        highlight: name of the row to emphasise, as a rule the winner.
        reference: name of the row whose figure is drawn as a line across the plot.
        title: heading.
        lead: the sentence under it.
    """
    records = as_records(rows, "comparison")
    names = [name_of(record, place, "name") for place, record in enumerate(records)]
    section = report.section(title, lead)
    estimates = _estimates(records, names, plotted)
    across = next(((item.name, item.value) for item in estimates if item.name == reference), None)
    if estimates:
        label = _spelled(plotted)
        section.figure(
            lambda width: interval_plot(
                estimates,
                title=f"{label} by candidate",
                x_name=label,
                reference=across,
                highlight=highlight,
                width=width,
            ),
            f"{label} with intervals, best first",
        )
    others = [
        key
        for key in dict.fromkeys(key for record in records for key in record)
        if key not in ("name", *figures)
    ]
    return section.table(
        ["name", *(_spelled(key) for key in figures), *others],
        [
            [
                name,
                *(interval_cell(*triple_of(record.get(key))) for key in figures),
                *(record.get(key) for key in others),
            ]
            for name, record in zip(names, records, strict=True)
        ],
        "All figures",
        highlight=[place for place, name in enumerate(names) if name == highlight],
    )


def _estimates(records: Sequence[Record], names: Sequence[str], key: str) -> list[Estimate]:
    triples = [
        (name, triple_of(record.get(key))) for name, record in zip(names, records, strict=True)
    ]
    return [
        Estimate(name, value, low, high)
        for name, (value, low, high) in triples
        if value is not None
    ]


def _spelled(key: str) -> str:
    return _SPELLING.get(key, key)
