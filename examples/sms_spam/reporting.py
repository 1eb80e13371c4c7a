"""The report of this example: what the steps found, put on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill import validate, web
from gristmill.store import RunLog, current_project
from gristmill.web import sections

if TYPE_CHECKING:
    from gristmill.label import Analysis, Labels
    from gristmill.pipeline import Verdict
    from gristmill.train import Fitted
    from gristmill.validate import Feature, Report, Statistics


def write_report(
    path: Path,
    analysis: Analysis,
    labels: Labels,
    statistics: Statistics,
    later: Report,
    corrupted: Report,
    candidates: Mapping[str, Fitted],
    comparison: Sequence[Mapping[str, object]],
    gate: Verdict,
    served: Sequence[Mapping[str, object]],
) -> Path:
    """Write the page and return its path."""
    page = web.Report("SMS spam", "From raw messages to a served filter")
    summary = page.section("Result", f"The gate said: {gate.verdict}.")
    summary.text("\n\n".join(gate.reasons))
    sections.comparison_section(page, comparison, highlight="weak + gold", reference="gold only")
    sections.labelling_section(page, analysis.table, examples=_examples(labels))
    sections.profile_section(page, _features(statistics), rows=statistics.rows)
    sections.findings_section(page, _findings(later), title="The later batch", lead=later.verdict)
    sections.findings_section(
        page, _findings(corrupted), title="The damaged batch", lead=corrupted.verdict
    )
    sections.training_section(
        page, {name: _curve(one) for name, one in candidates.items()}, metric="F1"
    )
    sections.serving_section(page, served)
    _lineage(page)
    return page.write(path)


def _examples(labels: Labels, rows: int = 12) -> list[dict[str, object]]:
    """Take the first labels whose votes disagreed most: the interesting ones."""
    import polars as pl

    sure = pl.col("probs").list.max()
    table = labels.table.with_columns(pl.col("probs").cast(pl.List(pl.Float64)))
    close = table.filter(pl.col("source") == "model").sort(sure, "row_id").head(rows)
    return [
        {
            "row": row["row_id"],
            "label": labels.classes[row["label"]],
            "probability": max(row["probs"]),
            "weight": row["weight"],
        }
        for row in close.iter_rows(named=True)
    ]


def _features(statistics: Statistics) -> list[dict[str, object]]:
    return [_feature(name, one) for name, one in statistics.features.items()]


def _feature(name: str, feature: Feature) -> dict[str, object]:
    """Put a feature's statistics under the names that the page knows."""
    row: dict[str, object] = {
        "name": name,
        "type": feature.kind,
        "missing": feature.missing / max(feature.rows, 1),
        "distinct": round(feature.distinct_count.value),
        "top_values": [(one.value, one.count) for one in feature.top(3)],
    }
    numbers = feature.numbers or feature.lengths
    if numbers is None:
        return row
    suffix = "" if feature.numbers else "_length"
    row |= {
        f"min{suffix}": numbers.low,
        f"mean{suffix}": numbers.mean,
        f"max{suffix}": numbers.high,
    }
    bins = validate.histogram(numbers, bins=20, by="width")
    return row | {"histogram": {"edges": list(bins.edges), "counts": list(bins.counts)}}


def _findings(report: Report) -> list[dict[str, object]]:
    return [
        {
            "severity": finding.severity,
            "code": finding.code,
            "feature": finding.feature,
            "message": finding.message,
            "rows": list(finding.evidence.rows),
            "examples": list(finding.evidence.examples),
        }
        for finding in report.findings
    ]


def _curve(fitted: Fitted) -> list[dict[str, object]]:
    return [
        {
            "epoch": record.epoch,
            "train_loss": record.train_loss,
            "validation_loss": record.validation_loss,
            "metric": record.metric,
        }
        for record in fitted.history
    ]


def _lineage(page: web.Report) -> None:
    """Draw the steps of the run that is writing this page."""
    project = current_project()
    if project is None:
        return
    log = RunLog(project)
    executions = [item for item in log.of_run(log.run("last").id) if item.output]
    nodes = [
        {
            "id": item.step,
            "label": item.step,
            "kind": log.artifact(item.output or "").kind,
            "status": "cached" if item.status == "cached" else "run",
            "detail": (item.output or "")[:8],
        }
        for item in executions
    ]
    shown = {item.step for item in executions}
    edges = [(need, item.step) for item in executions for need in item.inputs if need in shown]
    sections.lineage_section(page, nodes, edges)
