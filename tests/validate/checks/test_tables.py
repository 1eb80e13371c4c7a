"""Terminal tables: they fit, they align, and no cell moves the cursor."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate.checks import tables
from gristmill.validate.checks.findings import Evidence, Finding
from gristmill.validate.checks.report import Report
from gristmill.validate.drifts.drift import measure
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.profiler import profile

TableMaker = Callable[..., pl.DataFrame]


def _widths(text: str) -> list[int]:
    return [tables.columns_of(line) for line in text.split("\n")]


def test_a_finding_is_a_head_the_message_and_its_evidence() -> None:
    found = Finding(
        "wrong_type",
        "error",
        "hour",
        "1 of 5,001 cells does not parse as int: '7h' (row 812)",
        Evidence(1, 5001, (812,), ("7h",)),
        Edit("hour", "type", "int", "string"),
    )
    assert tables.findings_block([found]) == (
        "ERROR  wrong_type  hour\n"
        "  1 of 5,001 cells does not parse as int: '7h' (row 812)\n"
        "    rows: 812\n"
        '    to accept: [features.hour] type = "string" (was "int")'
    )


def test_findings_wrap_at_the_width_and_cut_long_evidence() -> None:
    found = Finding(
        "drift",
        "warning",
        "n" * 200,
        "words " * 60,
        Evidence(999, 999, tuple(range(20_000, 20_020))),
    )
    block = tables.findings_block([found, found], 60)
    assert max(_widths(block)) == 60 - 1 or max(_widths(block)) == 60
    assert block.count("WARNING  drift  nnnn") == 2
    assert "…" in block.split("\n")[0]


def test_control_characters_are_spelled_out() -> None:
    found = Finding("unseen_value", "error", "a\x1b[31mb", "it says\r\x07 \u202eabc")
    block = tables.findings_block([found])
    assert "a\\x1b[31mb" in block
    assert "it says\\r\\x07 \\u202eabc" in block


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_of_features_fits(orders: TableMaker, width: int) -> None:
    frame = orders(500).rename({"note": "note_" + "x" * 90, "price": "价格" * 30})
    text = tables.feature_table(profile(frame), width)
    assert len(text.split("\n")) == 2 + frame.width
    assert max(_widths(text)) <= width
    assert "float" in text


def test_a_table_of_features_shows_figures() -> None:
    frame = pl.DataFrame({"n": [1, 2, None, 4], "s": ["a", "a", "b", "b"]})
    lines = tables.feature_table(profile(frame)).split("\n")
    heads = ["feature", "type", "missing", "distinct", "min", "median", "max", "shape"]
    assert lines[0].split() == heads
    assert lines[2].split()[:7] == ["n", "int", "25.0", "%", "3", "1", "2"]
    assert lines[3].split()[:5] == ["s", "string", "0.0", "%", "2"]


def test_the_largest_distance_comes_first_and_alarms_are_marked(orders: TableMaker) -> None:
    before = profile(orders(2000, 1))
    now = profile(orders(2000, 2).with_columns(hour=pl.col("hour") * 3))
    drift = [
        found
        for name in now.features
        if (found := measure(name, before.features[name], now.features[name]))
    ]
    lines = tables.comparison_table(now, before, drift).split("\n")
    assert lines[0].split() == ["feature", "missing", "median", "baseline", "current", "distance"]
    distances = [float(line.split()[-1].rstrip("!")) for line in lines[2:]]
    assert distances == sorted(distances, reverse=True)
    assert any(line.startswith("hour") and line.endswith("!") for line in lines)
    assert max(map(tables.columns_of, lines)) <= 80
    assert tables.comparison_table(now, before, drift, ascii_only=True).isascii()


def test_a_report_shows_its_verdict_first() -> None:
    report = Report("data", 3, [Finding("few_rows", "warning", None, "3 rows")])
    assert tables.report_lines(report) == [
        "3 rows: 1 warning",
        "",
        "WARNING  few_rows  (table)\n  3 rows",
    ]


@pytest.mark.parametrize(
    ("values", "blocks", "plain"),
    [
        ([0] * 8 + [8], "█      ▁", "@      ."),
        (["a", "a", "b", "b", "c"], "██▄", "@@="),
        ([None, None], "", ""),
    ],
)
def test_spark(values: list[object], blocks: str, plain: str) -> None:
    feature = Feature.of(pl.Series(values, dtype=None if values[0] is not None else pl.Int64))
    assert tables.spark(feature) == blocks
    assert tables.spark(feature, ascii_only=True) == plain


def test_spark_takes_the_bins_of_another_feature() -> None:
    wide, narrow = Feature.of(pl.Series([0, 80])), Feature.of(pl.Series([10, 10]))
    assert tables.spark(narrow, like=wide).rstrip() == "█"
    assert tables.spark(None) == ""


@given(st.text(), st.integers(1, 40))
def test_a_text_cut_in_the_middle_fits(text: str, width: int) -> None:
    cut = tables.cut_middle(text, width)
    assert tables.columns_of(cut) <= width
    if tables.columns_of(text) <= width:
        assert cut == text
    else:
        assert "…" in cut


def test_both_ends_of_a_name_are_kept() -> None:
    assert tables.cut_middle("pickup_community_area", 11) == "picku…_area"
    assert tables.cut_middle("价格价格价格", 7) == "价…格"
