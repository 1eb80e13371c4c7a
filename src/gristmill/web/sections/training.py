"""Training: how each candidate learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from gristmill.web import blocks
from gristmill.web.charts import line_chart
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Record, as_records, figure_of

Curves = Mapping[str, Sequence[Record]]

_TRAIN, _VALIDATION = ("train_loss", "loss"), ("validation_loss", "val_loss")
_METRIC = ("metric", "validation_metric")
_SMALL = 220


def training_section(
    report: Report,
    curves: Curves,
    *,
    metric: str = "validation metric",
    title: str = "Training",
    lead: str = "A ring marks the epoch with the lowest validation loss, whose weights are kept.",
) -> Section:
    """Add the candidates' validation losses together, their metrics, and each one's own curves.

    Args:
        report: where to add.
        curves: by candidate, one record per epoch: `epoch`, and any of `train_loss`,
            `validation_loss` and `metric`; missing values break a line.
        metric: what `metric` is called.
        title: heading.
        lead: the sentence under it.
    """
    runs = {name: as_records(records, f"training of {name}") for name, records in curves.items()}
    section = report.section(title, lead)
    best = {name: epoch for name, run in runs.items() if (epoch := _best(run)) is not None}
    for keys, label in ((_VALIDATION, "validation loss"), (_METRIC, metric)):
        series = {name: _points(run, keys) for name, run in runs.items()}
        series = {name: points for name, points in series.items() if _any(points)}
        if series:
            section.figure(
                lambda width, series=series, label=label: line_chart(  # type: ignore[misc]
                    series, title=f"{label} by epoch", x_name="epoch", best=best, width=width
                ),
                f"{label[:1].upper()}{label[1:]} by epoch",
            )
    section.table(*_table(runs, best, metric))
    own = [_own(name, run, best.get(name)) for name, run in runs.items() if run]
    return (
        section.details("Training and validation loss of each candidate", own) if own else section
    )


def _best(run: Sequence[Record]) -> float | None:
    points = [(value, at) for at, value in _points(run, _VALIDATION) if value is not None]
    return min(points)[1] if points else None


def _points(run: Sequence[Record], keys: Sequence[str]) -> list[tuple[float, float | None]]:
    return [
        (at if (at := figure_of(record, "epoch")) is not None else place, figure_of(record, *keys))
        for place, record in enumerate(run, start=1)
    ]


def _any(points: Sequence[tuple[float, float | None]]) -> bool:
    return any(value is not None for _, value in points)


def _table(
    runs: Mapping[str, Sequence[Record]], best: Mapping[str, float], metric: str
) -> tuple[list[str], list[list[object]]]:
    columns = ["candidate", "epochs", "best epoch", "train loss", "validation loss", metric]
    rows: list[list[object]] = []
    for name, run in runs.items():
        figures = [dict(_points(run, keys)) for keys in (_TRAIN, _VALIDATION, _METRIC)]
        at = best.get(name)
        chosen = [by_epoch.get(at) if at is not None else None for by_epoch in figures]
        rows.append([name, len(run), None if at is None else int(at), *chosen])
    return columns, rows


def _own(name: str, run: Sequence[Record], best: float | None) -> Markup:
    series = {"training": _points(run, _TRAIN), "validation": _points(run, _VALIDATION)}
    series = {part: points for part, points in series.items() if _any(points)}
    marks = {"validation": best} if best is not None else {}
    return blocks.figure(
        lambda width: line_chart(
            series, title=f"Loss of {name}", x_name="epoch", best=marks, width=width, height=_SMALL
        ),
        name,
    )
