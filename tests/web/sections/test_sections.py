from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.core.intervals import Interval
from gristmill.web import Report, sections

Read = Callable[[str], Any]


@pytest.fixture
def report() -> Report:
    return Report("T")


def test_labelling_takes_a_frame_and_folds_the_interval(report: Report, read: Read) -> None:
    frame = pl.DataFrame(
        {
            "name": ["a", "b"],
            "coverage": [0.5, 0.25],
            "overlaps": [0.2, 0.1],
            "conflicts": [0.1, 0.0],
            "accuracy": [0.9, None],
            "accuracy_low": [0.8, None],
            "accuracy_high": [0.95, None],
            "learned_weight": [1.5, 0.5],
        }
    )
    section = sections.labelling_section(report, frame, agreement=[[1, 0.5], [0.5, 1]])
    page = "".join(section.blocks)
    assert '0.900 <small class="range">0.800 – 0.950</small>' in page
    assert "learned weight" in page
    assert "accuracy low" not in page
    assert "a: covers 50.0%, conflicts 10.0%, accuracy 90.0%" in page
    assert len(section.blocks) == 3


def test_profile_shows_shares_lengths_and_distributions(report: Report) -> None:
    features = [
        {"name": "text", "type": "string", "missing": 0.0, "distinct": 5169.0, "mean_length": 80.1},
        {"name": "when", "missing": 0.0004, "min": "2006-01-03", "top_values": {"x": 3, "y": 1}},
        {
            "name": "size",
            "missing": 0.964,
            "max": 910,
            "histogram": {"edges": [0, 1, 2], "counts": [1, 2]},
        },
    ]
    section = sections.profile_section(report, features, rows=5572)
    page = "".join(section.blocks)
    assert section.lead == "5,572 rows, 3 features."
    for shown in (
        "0 %",
        "&lt; 0.1 %",
        "96.4 %",
        ">5,169<",
        ">2006-01-03<",
        "80.10 <small",
        ">910<",
    ):
        assert shown in page
    assert page.count('class="spark"') == 2
    assert page.count('<div class="scroll at-desk">') == 2


def test_profile_counts_alone_give_a_sparkline_of_at_most_forty_bars(report: Report) -> None:
    section = sections.profile_section(report, [{"name": "n", "histogram": [1] * 100}])
    assert len(section.blocks) == 1
    assert section.blocks[0].count('class="bar s1"') == 34


def test_findings_are_counted(report: Report) -> None:
    items = [{"severity": name, "message": name} for name in ("error", "error", "info", "odd")]
    assert sections.findings_section(report, items).lead == "2 errors, 1 note, 1 odd."
    assert sections.findings_section(report, []).lead == ""


def test_training_finds_the_best_epoch(report: Report, read: Read) -> None:
    curve = [
        {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "metric": 0.5},
        {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.4, "metric": 0.7},
        {"epoch": 3, "train_loss": 0.2, "validation_loss": 0.6, "metric": None},
    ]
    section = sections.training_section(report, {"net": curve}, metric="F1")
    figures, table = "".join(section.blocks[:2]), section.blocks[2]
    assert "net: best 0.400 at 2" in figures
    cells = [cell.partition(">")[2].partition("<")[0] for cell in table.split("<td")[1:]]
    assert cells == ["net", "3", "2", "0.500", "0.400", "0.700"]


def test_training_with_no_validation_has_no_best(report: Report) -> None:
    section = sections.training_section(report, {"net": [{"epoch": 1, "train_loss": 0.9}]})
    assert "ring" not in "".join(section.blocks)
    sections.training_section(report, {"nothing": []})


def test_each_chart_of_training_shows_its_own_series(report: Report) -> None:
    curve = [{"epoch": at, "validation_loss": 0.5 / at, "metric": 7.0 + at} for at in (1, 2)]
    first, second = sections.training_section(report, {"net": curve}, metric="F1").blocks[:2]
    assert "from 0.500 to 0.250" in first
    assert "from 8.00 to 9.00" in second


def test_comparison_takes_triples_intervals_and_numbers(report: Report, read: Read) -> None:
    rows = [
        {"name": "a", "precision": 0.5, "recall": (0.6, 0.5, 0.7), "f1": Interval(0.9, 0.8, 0.95)},
        {"name": "b", "f1": (0.7, 0.6, 0.8), "rows": 1114},
    ]
    section = sections.comparison_section(report, rows, highlight="a", reference="b")
    figure, table = section.blocks
    assert "a: 0.900 [0.800, 0.950]; b: 0.700 [0.600, 0.800]" in figure
    assert read(figure).count("line", "reference") == 2
    assert read(table).count("tr", "highlight") == 1
    assert "0.600 <small" in table
    assert "1,114" in table


def test_lineage_counts_what_became_of_nodes(report: Report) -> None:
    nodes = [{"id": "a", "status": "cached"}, {"id": 2, "label": "b", "status": "run"}]
    section = sections.lineage_section(report, nodes, [("a", "2")])
    assert "1 run, 1 cached" in section.blocks[0]
    assert "2 nodes. a to b" in section.blocks[0]


def test_serving_shows_exchanges_in_short_and_in_full(report: Report) -> None:
    exchanges = [
        {
            "name": "one",
            "request": {"text": "é"},
            "status": 200,
            "response": b"ok",
            "seconds": 0.0031,
        },
        {"request": "GET /", "status": 404, "response": None},
        {"request": "x" * 9000, "status": 413, "response": "big"},
    ]
    section = sections.serving_section(report, exchanges)
    page = "".join(section.blocks)
    assert len(section.blocks) == 4
    for shown in (">3.1<", ">200<", "one → 200", "GET / → 404", "é", "… 5,000 more characters"):
        assert shown in page


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"name": "a"}, 3], "findings, row 1: expected a mapping, found int"),
        (7, "findings: expected a frame or mappings, found int"),
    ],
)
def test_data_of_another_kind_is_refused(report: Report, data: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        sections.findings_section(report, data)
    assert str(caught.value) == message
