from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.intervals import wilson
from gristmill.label.analysis.summary import Analysis, analyze
from gristmill.label.functions.application import apply
from gristmill.label.functions.function import labeling_function
from gristmill.label.votes import Votes

GOLD = dict(enumerate([0, 1, 2, 0, 1, 2]))


@pytest.fixture
def votes(six_by_six: NDArray[np.int64]) -> Votes:
    return Votes.from_matrix(six_by_six, classes=3)


def test_figures_over_all_sources(votes: Votes) -> None:
    analysis = analyze(votes)
    assert analysis.coverage == pytest.approx(5 / 6)
    assert analysis.overlap == pytest.approx(4 / 6)
    assert analysis.conflict == pytest.approx(3 / 6)


def test_figures_of_each_source(votes: Votes) -> None:
    table = analyze(votes).table
    polarity = [["1", "2"], [], ["0", "2"], ["2"], ["0", "1"], ["0"]]
    assert table["polarity"].to_list() == polarity
    assert table["coverage"].to_list() == pytest.approx(np.array([3, 0, 3, 2, 2, 4]) / 6)
    assert table["overlaps"].to_list() == pytest.approx(np.array([3, 0, 3, 1, 2, 4]) / 6)
    assert table["conflicts"].to_list() == pytest.approx(np.array([3, 0, 2, 1, 2, 3]) / 6)
    assert "accuracy" not in table.columns


def test_normalised_figures_follow_from_the_table(votes: Votes) -> None:
    table = analyze(votes).table.filter(table_voted := np.array([1, 0, 1, 1, 1, 1], bool))
    assert table_voted.sum() == table.height
    by_coverage = (table["overlaps"] / table["coverage"]).to_list()
    assert by_coverage == pytest.approx([1, 1, 1 / 2, 1, 1])
    by_overlap = (table["conflicts"] / table["overlaps"]).to_list()
    assert by_overlap == pytest.approx([1, 2 / 3, 1, 1, 3 / 4])


def test_figures_on_gold(votes: Votes) -> None:
    table = analyze(votes, GOLD).table
    assert table["correct"].to_list() == [1, 0, 1, 1, 1, 2]
    assert table["incorrect"].to_list() == [2, 0, 2, 1, 1, 2]
    accuracy = table["accuracy"].to_list()
    assert accuracy[1] is None
    assert [accuracy[i] for i in (0, 2, 3, 4, 5)] == pytest.approx(
        [1 / 3, 1 / 3, 1 / 2, 1 / 2, 1 / 2]
    )
    interval = wilson(2, 4)
    assert (table["low"][5], table["high"][5]) == (interval.low, interval.high)


def test_a_full_matrix_covers_and_overlaps_everywhere(six_by_six: np.ndarray) -> None:
    full = Votes.from_matrix(six_by_six + 4, classes=7)
    analysis = analyze(full, {row: label + 4 for row, label in GOLD.items()})
    assert (analysis.coverage, analysis.overlap, analysis.conflict) == (1, 1, 5 / 6)
    truth = np.array(list(GOLD.values()))[:, None]
    assert analysis.table["accuracy"].to_list() == pytest.approx((six_by_six == truth).mean(axis=0))


def test_gold_on_some_rows_counts_those_only(votes: Votes) -> None:
    table = analyze(votes, {0: 0, 3: 2}).table
    assert table["correct"].to_list() == [0, 0, 2, 0, 0, 1]
    assert table["incorrect"].to_list() == [1, 0, 0, 0, 1, 1]


@settings(deadline=None)
@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(0, 9), st.integers(1, 4)), elements=st.integers(-1, 2)
    )
)
def test_figures_equal_those_of_walking_over_the_rows(matrix: np.ndarray) -> None:
    analysis = analyze(Votes.from_matrix(matrix, classes=3))
    rows = max(len(matrix), 1)
    for source, figures in enumerate(analysis.sources):
        voted = [line for line in matrix.tolist() if line[source] >= 0]
        others = [[v for j, v in enumerate(line) if j != source and v >= 0] for line in voted]
        clashing = [
            any(v != line[source] for v in o) for line, o in zip(voted, others, strict=True)
        ]
        assert figures.coverage == pytest.approx(len(voted) / rows)
        assert figures.overlaps == pytest.approx(sum(map(bool, others)) / rows)
        assert figures.conflicts == pytest.approx(sum(clashing) / rows)
        assert figures.polarity == tuple(str(v) for v in sorted({line[source] for line in voted}))


def test_the_text_fits_the_width_asked_for() -> None:
    matrix = np.array([[0, -1], [0, 1], [-1, -1], [1, -1]])
    names = ["a_rather_long_name_of_a_function", "b"]
    analysis = analyze(Votes.from_matrix(matrix, names=names), {0: 0, 1: 1})
    for width in (80, 60, 30):
        lines = ["  ".join(line) for line in analysis.cells(width)]
        assert max(map(len, lines)) <= width
    assert analysis.cells(80)[1][0] == "a_rather_long_name_of_a…"
    assert analysis.cells(60)[0] == ["source", "coverage", "accuracy"]
    assert analysis.cells(20)[0] == ["source"]


def test_what_would_be_lost_and_what_others_say_as_well() -> None:
    matrix = np.array([[0, 0, -1], [0, 1, 1], [1, -1, -1], [0, 0, 0]])
    table = analyze(Votes.from_matrix(matrix)).table
    assert table["alone"].to_list() == [0.25, 0, 0]
    assert table["redundancy"].to_list() == [0.5, 1.0, 1.0]


def test_a_model_gives_estimated_accuracies() -> None:
    class Known:
        def predict_proba(self, votes: Votes) -> np.ndarray:
            return np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])

    votes = Votes.from_matrix(np.array([[0, -1, 1], [0, -1, 1], [-1, -1, 0]]))
    analysis = analyze(votes, model=Known())
    assert analysis.table["estimated"].to_list() == [
        pytest.approx(0.55), None, pytest.approx((0.1 + 0.8 + 0.5) / 3)
    ]  # fmt: skip
    assert analysis.judge == "model"
    assert analysis.cells()[0][-1] == "estimated"
    with pytest.raises(LabelError, match=r"expected probabilities of shape \(2, 2\)"):
        analyze(Votes.from_matrix(np.array([[0], [1]])), model=Known())


def test_seconds_are_shown_for_a_thousand_rows(votes: Votes) -> None:
    table = analyze(votes, seconds={"source_0": 0.012}).table
    assert table["seconds"].to_list() == [2.0, *[None] * 5]
    assert "seconds" not in analyze(votes).table.columns


def test_gold_may_be_an_array(votes: Votes) -> None:
    assert analyze(votes, np.array([0, 1, 2, 0, 1, 2])) == analyze(votes, GOLD)
    with pytest.raises(LabelError, match="expected 6 gold classes, one per row, found 2"):
        analyze(votes, [0, 1])


def test_sources_that_lean_on_one_another_are_named() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 500)
    draws = rng.random((1000, 2)) < 0.3
    matrix = np.where(draws, truth[:, None], -1)
    again = np.where((matrix[:, 0] >= 0) & (rng.random(1000) < 0.5), truth, -1)
    votes = Votes.from_matrix(np.column_stack([matrix, again]), names=["a", "b", "c"])
    analysis = analyze(votes, truth)
    frame = analysis.frame
    assert frame["partner"].to_list() == ["c", None, "a"]
    assert frame["excess"][0] == pytest.approx(1.0)
    assert 0.5 < frame["excess_low"][0] < 1
    assert "a and c say the same on" in analysis.warnings()[0]
    assert [pair["first"] for pair in analysis.describe()["correlated"]] == ["a"]  # type: ignore[attr-defined]


def test_agreement_and_likely_copies() -> None:
    matrix = np.array([[0, 0, -1], [1, 1, 0], [1, 1, -1], [0, 0, 0]])
    analysis = analyze(Votes.from_matrix(matrix, names=["a", "b", "c"]))
    assert analysis.agreement[0] == (1.0, 1.0, 0.5)
    (pair,) = analysis.alike
    assert (pair.first, pair.second, pair.identity, pair.rows) == ("a", "b", 1.0, 4)
    assert "a and b say the same on 100.0% of the rows where either votes" in str(analysis)


def test_sources_that_never_meet_have_no_agreement(votes: Votes) -> None:
    assert analyze(votes).agreement[1] == (None,) * 6


def test_the_text() -> None:
    matrix = [[0, -1], [0, 1], [-1, -1], [1, -1]]
    votes = Votes.from_matrix(matrix, classes=["ham", "spam"], names=["a", "idle"])
    assert str(analyze(votes, {0: 0, 1: 1})).splitlines() == [
        "4 rows: 75.0% covered, 25.0% by two or more, 25.0% in conflict",
        "source  votes for  coverage  overlaps  conflicts  redundant  correct  accuracy",
        "a       ham spam   75.0%     25.0%     25.0%      0.0%       1 of 2   0.50 [0.09, 0.91]",
        "idle    spam       25.0%     25.0%     25.0%      0.0%       1 of 1   1.00 [0.21, 1.00]",
    ]


def test_warnings_of_idle_and_failing_sources() -> None:
    functions = [
        labeling_function(name="idle")(lambda row: None),
        labeling_function(name="broken", on_error="abstain")(lambda row: 1 // row.row_id),
    ]
    import polars as pl

    analysis = analyze(apply(functions, pl.DataFrame({"n": [1, 2]}), classes=2))
    assert analysis.warnings() == ["never vote: idle", "failed on some rows: broken (1)"]
    assert analysis.table["failed"].to_list() == [0, 1]
    assert "failed" in analysis.cells()[0]


def test_saving_and_loading(votes: Votes, tmp_path: Path) -> None:
    analysis = analyze(votes, GOLD)
    analysis.save(tmp_path)
    assert Analysis.load(tmp_path) == analysis
    with pytest.raises(LabelError, match="this is no stored analysis"):
        Analysis.load(tmp_path / "elsewhere")


def test_the_description_is_small_and_json_able(votes: Votes) -> None:
    import msgspec

    told = analyze(votes, GOLD).describe()
    assert "agreement" not in told
    assert msgspec.json.decode(msgspec.json.encode(told))["gold_rows"] == 6


def test_votes_analyze_themselves(votes: Votes) -> None:
    assert votes.analyze(GOLD) == analyze(votes, GOLD)
