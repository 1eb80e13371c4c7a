"""The page for the people who label: what the functions do, where they fail, what to write next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gristmill.core.errors import LabelError
from gristmill.web.cells import Cell, interval_cell, noted_cell, share_cell
from gristmill.web.charts import Estimate, interval_plot
from gristmill.web.report import Report, Section
from gristmill.web.sections.error_buckets import Examples, buckets_section, example_table
from gristmill.web.sections.labelling import labelling_section
from gristmill.web.sections.row_groups import row_groups_section
from gristmill.web.text import shorten

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from gristmill.data.table import TableLike
    from gristmill.label.analysis.answers import Truth
    from gristmill.label.analysis.beliefs import Classifies
    from gristmill.label.analysis.error_buckets import Buckets
    from gristmill.label.analysis.gap_search import RowGroups
    from gristmill.label.analysis.summary import Analysis
    from gristmill.label.labels import Labels
    from gristmill.label.slices.slice_scores import SliceScores
    from gristmill.label.votes import Votes

TEXT_SHOWN = 240
"""Characters of a text that are shown of an example row."""
MAX_REVIEW = 20
_CLASHES = 12


def label_page(
    votes: Votes,
    table: TableLike,
    *,
    labels: Labels | None = None,
    gold: Truth | None = None,
    model: Classifies | None = None,
    slices: pl.DataFrame | None = None,
    columns: Sequence[str] | None = None,
    title: str = "Labelling functions",
    seconds: Mapping[str, float] | None = None,
) -> Report:
    """Build the page of a labelling project: one file, to `write` or `render`.

    Its size does not grow with the rows: functions, groups and examples are cut to the foremost.

    Args:
        votes: of the labelling functions.
        table: the rows they were applied to; matched by `row_id`.
        labels: made from these votes; adds classes, errors and rows worth reviewing.
        gold: true classes, by row id or int[n]; adds accuracies, errors and what groups lean to.
        model: the fitted label model; adds estimated accuracies.
        slices: what `slice_members` returned; with labels and gold adds figures by slice.
        columns: of the table to show and search; default: the columns of text.
        title: of the page.
        seconds: source -> seconds that it took for these rows.

    Raises:
        LabelError: one of them does not fit the votes.
    """
    from gristmill.label.analysis.error_buckets import buckets
    from gristmill.label.analysis.gap_search import conflict_groups, gaps
    from gristmill.label.analysis.summary import analyze

    analysis = analyze(votes, gold, model, seconds=seconds)
    report = Report(title, _subtitle(analysis))
    _add_head(report, analysis, labels)
    _add_sources(report, analysis, labels)
    _add_groups(
        report,
        gaps(votes, table, columns=columns, gold=gold),
        "What to write next",
        "rows that no function covers, by what they share.",
    )
    probs = None if labels is None else _probs(labels, votes)
    found = conflict_groups(votes, table, columns=columns, gold=gold, probs=probs)
    _add_groups(report, found, "Where functions disagree", "rows in conflict, by what they share.")
    _add_clashes(report, votes, gold)
    if labels is not None and analysis.gold_rows:
        _add_errors(
            report, buckets(labels, gold if gold is not None else {}, table, columns=columns)
        )
        if slices is not None and gold is not None:
            _add_slices(report, labels, gold, slices)
    if labels is not None:
        _add_review(report, votes, labels, table, columns)
    return report


def _probs(labels: Labels, votes: Votes) -> NDArray[np.float64]:
    """Return what the labels say of each row of the votes, float64[n, k].

    It tells what rows in conflict lean to. Of uncovered rows labels know the balance alone, which
    would pass for an opinion, so groups of these are not given it.
    """
    if labels.classes != votes.classes or not labels.table["row_id"].equals(votes.row_ids):
        raise LabelError(
            f"these labels of {len(labels)} rows are not about these votes on {len(votes)} rows",
            fix="pass labels that were predicted from these votes",
        )
    return labels.table["probs"].to_numpy().reshape(len(labels), len(labels.classes))


def _subtitle(analysis: Analysis) -> str:
    named = ", ".join(shorten(name, 30) for name in analysis.classes[:6])
    more = f" and {len(analysis.classes) - 6} more" if len(analysis.classes) > 6 else ""
    return (
        f"{len(analysis.sources)} functions on {analysis.rows:,} rows, "
        f"{len(analysis.classes)} classes: {named}{more}"
    )


def _add_head(report: Report, analysis: Analysis, labels: Labels | None) -> None:
    pairs: list[tuple[str, object]] = [
        ("rows", analysis.rows),
        ("covered", f"{analysis.coverage:.1%}"),
        ("by two or more", f"{analysis.overlap:.1%}"),
        ("in conflict", f"{analysis.conflict:.1%}"),
        ("gold rows", analysis.gold_rows),
    ]
    if labels is not None:
        pairs.append(("labelled", int((labels.table["label"] >= 0).sum())))
    report.facts(pairs)
    if told := analysis.warnings():
        report.text("**Worth a look**\n\n" + "\n".join(f"- {each}" for each in told))


def _add_sources(report: Report, analysis: Analysis, labels: Labels | None) -> None:
    classes = None
    if labels is not None:
        codes = labels.table["label"].to_numpy()
        counted = [(name, int((codes == at).sum())) for at, name in enumerate(labels.classes)]
        counted.sort(key=lambda each: -each[1])
        classes = dict(counted[:40]) | {"no label": int((codes < 0).sum())}
    labelling_section(
        report,
        [_source_row(row) for row in analysis.frame.iter_rows(named=True)],
        agreement=analysis.agreement if len(analysis.sources) > 1 else None,
        excess=analysis.pairs.excess() if len(analysis.sources) > 1 else None,
        classes=classes,
        lead="How much each covers, meets others, and is right on gold rows; "
        f"what is more than chance is judged by the {analysis.judge}.",
    )


def _source_row(row: Mapping[str, object]) -> dict[str, object]:
    """Take the columns that fit a page; the accuracy's interval goes into its own cell."""
    partner = None
    if row["partner"] is not None:
        partner = noted_cell(str(row["partner"]), f"{row['excess']:+.0%} excess")
    shown: dict[str, object] = {"function": row["source"], "votes_for": row["polarity"]}
    shown |= {name: row[name] for name in ("coverage", "overlaps", "conflicts")}
    shown["redundant"] = share_cell(row["redundancy"])
    if "accuracy" in row:
        shown |= {name: row[name] for name in ("accuracy", "low", "high")}
    shown |= {"estimated": row["estimated"]} if "estimated" in row else {}
    shown |= {"failed": row["failed"]} if row["failed"] else {}
    shown |= {"s_per_1000_rows": row["seconds"]} if row.get("seconds") is not None else {}
    return shown | {"partner": partner}


def _add_groups(report: Report, found: RowGroups, title: str, what: str) -> None:
    share = found.rows / max(found.total, 1)
    examples = [each.examples for each in found.groups]
    rows = [
        row | {"examples": ids}
        for row, ids in zip(found.frame.iter_rows(named=True), examples, strict=True)
    ]
    row_groups_section(
        report,
        rows,
        title=title,
        lead=f"{found.rows:,} of {found.total:,} rows ({share:.1%}): {what}",
        examples=_texts(found.examples),
        rest=found.rest,
    )


def _add_clashes(report: Report, votes: Votes, gold: Truth | None) -> None:
    from gristmill.label.analysis.clashes import clashes

    found = clashes(votes, gold, most=_CLASHES)
    if not found.height:
        return
    lead = "Two functions that most often say different things of the same rows."
    section = report.section("Who contradicts whom", lead)
    judged = bool(found["judged"].sum())
    rows = []
    for row in found.iter_rows(named=True):
        line = [row["first"], row["first_says"], row["second"], row["second_says"], row["rows"]]
        line += [row["first_right"], row["second_right"]] if judged else []
        rows.append(line)
    heads = ["function", "says", "and", "says ", "rows"]
    heads += ["first right", "second right"] if judged else []
    section.table(
        heads, rows, "Rows by pair of functions, and who is right on gold rows" if judged else ""
    )


def _add_errors(report: Report, found: Buckets) -> None:
    import msgspec

    lead = f"{found.gold_rows:,} gold rows, by what the votes alone say and what experts say."
    buckets_section(
        report,
        [msgspec.structs.asdict(each) for each in found.buckets],
        sources=[msgspec.structs.asdict(each) for each in found.sources],
        examples=_texts(found.examples),
        lead=lead,
    )


def _add_slices(report: Report, labels: Labels, gold: Truth, slices: pl.DataFrame) -> None:
    from gristmill.label.slices.slice_scores import score_slices

    scores = score_slices(labels, gold, slices)
    section = report.section("Slices", "Accuracy of the labels on each named set of rows.")
    known = [
        Estimate(each.slice, each.accuracy, each.low, each.high)
        for each in scores.scores
        if each.accuracy is not None
    ]
    section.figure(
        lambda width: interval_plot(
            known[1:],
            title="Accuracy by slice",
            x_name="accuracy",
            reference=("overall", known[0].value) if known else None,
            width=width,
        ),
        "Accuracy by slice",
    )
    _add_slice_table(section, scores)


def _add_slice_table(section: Section, scores: SliceScores) -> None:
    section.table(
        ["slice", "gold rows", "answered", "accuracy", "against the rest"],
        [
            [
                each.slice,
                each.rows,
                each.answered,
                interval_cell(each.accuracy, each.low, each.high),
                each.difference,
            ]
            for each in scores.scores
        ],
        "Slices that are worse than the rest beyond chance stand out",
        highlight=[place for place, each in enumerate(scores.scores) if each.worse],
    )


def _add_review(
    report: Report,
    votes: Votes,
    labels: Labels,
    table: TableLike,
    columns: Sequence[str] | None,
) -> None:
    from gristmill.label.analysis.examples import example_rows
    from gristmill.label.review.queue import review_queue

    queue = review_queue(votes, labels, k=MAX_REVIEW, random=0.0)
    section = report.section(
        "Worth reviewing", "Rows on which an expert's answer would tell the most, best first."
    )
    shown = _texts(example_rows(table, queue["row_id"].to_list(), columns, votes.row_ids))
    why = dict(queue.select("row_id", "why").iter_rows())
    rows = {row_id: {**row, "why": why[row_id]} for row_id, row in shown.items()}
    body = example_table(queue["row_id"].to_list(), rows)
    if body is not None:
        section.add(body)


def _texts(frame: pl.DataFrame) -> Examples:
    """Return what to show of each row, by id, with long texts cut."""
    names = [name for name in frame.columns if name != "row_id"]
    return {
        row["row_id"]: {
            name: _cell(row[name]) if isinstance(row[name], str) else row[name] for name in names
        }
        for row in frame.iter_rows(named=True)
    }


def _cell(text: str) -> Cell:
    return Cell(shorten(text, TEXT_SHOWN), key=shorten(text, 40).casefold())
