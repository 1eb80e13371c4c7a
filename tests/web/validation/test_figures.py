"""Figures as they are printed, escaped and binned; the parts that only some features have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from gristmill.validate.checks.tables import comparison_table, feature_table
from gristmill.validate.drifts.drift import measure
from gristmill.validate.statistics.profiler import profile
from gristmill.web.text import clean
from gristmill.web.validation import numerals
from gristmill.web.validation.escaping import safe
from gristmill.web.validation.feature_parts import parts_of
from gristmill.web.validation.figures import pairs_of
from gristmill.web.validation.shared_bins import bins_of, bins_of_drift
from gristmill.web.validation.table_sections import table_sections

Check = Callable[..., Any]


@given(st.text())
def test_safe_texts_are_cleaned_and_escaped_as_any_other(text: str) -> None:
    assert safe(text) == str(escape(clean(text)))


def test_edges_that_lie_close_are_told_apart() -> None:
    show = numerals.figures_among([41.7, 41.86, 41.88, 42.1])
    assert [show(41.86), show(41.88)] == ["41.860", "41.880"]
    assert numerals.figures_among([17, 18, 19])(17) == "17"
    assert numerals.figures_among([])(1.5) == "1.50"
    assert numerals.figures_among([0.0, math.inf])(0.5) == "0.500"


def test_bins_of_a_drift_name_edges_apart() -> None:
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"at": rng.normal(41.9, 0.05, 2000)})
    old, new = profile(frame), profile(frame + 0.02)
    drift = measure("at", old.features["at"], new.features["at"])
    assert drift is not None
    names = bins_of_drift(drift).names
    assert len(set(names)) == len(names)


def test_both_sides_are_counted_in_the_same_bins() -> None:
    old = profile(pl.DataFrame({"x": list(range(100))})).features["x"]
    new = profile(pl.DataFrame({"x": [0] * 50 + [None] * 50})).features["x"]
    bins = bins_of(old, new, "width")
    assert bins is not None
    assert len(bins) == len(bins.names) == 20
    assert bins.baseline == pytest.approx([0.05] * 20)
    assert bins.current == pytest.approx([0.5] + [0.0] * 19)
    assert bins.missing == (0.0, 0.5)


def test_lists_vectors_times_texts_and_weights_have_parts() -> None:
    rng = np.random.default_rng(2)
    rows = 200
    frame = pl.DataFrame(
        {
            "tags": [["a", "b"][: row % 3] for row in range(rows)],
            "vector": pl.Series(rng.normal(size=(rows, 8)).tolist(), dtype=pl.List(pl.Float64)),
            "created_at": [1_700_000_000 + 3600 * row for row in range(rows)],
            "mail": [f"user{row}@example.org" for row in range(rows)],
            "age": [-999 if row % 10 == 0 else 20 + row % 40 for row in range(rows)],
            "weight": [1.0, 3.0] * (rows // 2),
        }
    )
    features = profile(frame, weight="weight").features
    parts = {name: parts_of(feature, name) for name, feature in features.items()}
    assert parts["tags"]["Values per cell"]["most"] == "2"
    assert parts["tags"]["Values per cell"]["empty"] == "67"
    assert parts["vector"]["Vectors"]["dimensions"] == "8: 200"
    assert parts["created_at"]["Time range"]["usual step"] == "60 minutes, regular"
    assert parts["created_at"]["Time range"]["first"] == "2023-11-14 22:13"
    assert parts["mail"]["Shape of texts"]["looks like"] == "email"
    assert parts["age"]["Sentinels"]["−999" if "−999" in parts["age"]["Sentinels"] else "-999"]
    assert parts["weight"]["Weighted"]["mean"] == "2.50"
    assert "Shape of texts" not in parts_of(features["mail"], "mail", lean=True)


def test_the_sections_tell_missing_together_correlations_and_slices() -> None:
    def table(sign: int, seed: int) -> pl.DataFrame:
        x = np.random.default_rng(seed).normal(size=400)
        gone = [None if value > 1 else value for value in x]
        kind = ["a", "b"] * 200
        return pl.DataFrame({"x": x, "y": sign * x, "m": gone, "n": gone, "kind": kind})

    old, new = (
        profile(table(sign, seed), slices=["kind"], cross_features=True)
        for sign, seed in ((1, 1), (-1, 2))
    )
    sections = {section.anchor: section for section in table_sections(new, old)}
    text = {name: "".join(section.blocks) for name, section in sections.items()}
    assert set(text) == {"duplicates", "null-patterns", "correlations", "slices"}
    assert "m, n" in text["null-patterns"]
    assert sections["correlations"].lead.startswith("Pearson correlation")
    assert "−2.00" in text["correlations"]
    assert text["slices"].count("50.0 %") == 4


def test_a_finding_or_an_odd_figure_makes_a_feature_suspicious(checked: Check) -> None:
    report, current, baseline = checked()
    pairs = pairs_of(current, baseline, drift=report.drift, findings=report.findings)
    assert {pair.name for pair in pairs if pair.suspicious} >= {"price", "paid", "tips"}
    assert pairs[0].by_mass is pairs[0].by_mass


def test_a_terminal_shows_the_most_different_features_and_counts_the_rest() -> None:
    rng = np.random.default_rng(3)
    columns = {f"c{at:03d}": rng.normal(size=50) for at in range(70)}
    old = profile(pl.DataFrame(columns))
    new = profile(pl.DataFrame(columns | {"c069": rng.normal(5, 1, 50)}))
    lines = comparison_table(new, old).split("\n")
    assert lines[2].startswith("c069")
    assert lines[-1] == "and 20 more features that differ less; --json or --page shows all"
    assert len(comparison_table(new, old, most=None).split("\n")) == 72
    assert feature_table(new).endswith("\nand 20 more features; --json or --page shows all")
