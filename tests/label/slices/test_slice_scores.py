from __future__ import annotations

import math

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.core.errors import LabelError
from gristmill.core.intervals import wilson
from gristmill.core.metrics import score_binary
from gristmill.label.models.majority import MajorityVote
from gristmill.label.slices.slice_scores import score_slices, source_slices
from gristmill.label.votes import Votes


@settings(deadline=None)
@given(st.integers(1, 30), st.data())
def test_scores_equal_those_of_counting_row_by_row(rows: int, data: st.DataObject) -> None:
    column = hnp.arrays(np.int64, rows, elements=st.integers(-1, 1))
    said, truth = data.draw(column), data.draw(column)
    inside = data.draw(hnp.arrays(bool, rows))
    members = pl.DataFrame({"row_id": range(rows), "part": inside})
    for name, chosen in (("overall", np.ones(rows, bool)), ("part", inside)):
        score = score_slices(said, truth, members, classes=2)[name]
        pairs = [
            (p, t)
            for p, t, c in zip(said.tolist(), truth.tolist(), chosen, strict=True)
            if c and t >= 0
        ]
        judged = [(p, t) for p, t in pairs if p >= 0]
        assert (score.rows, score.answered) == (len(pairs), len(judged))
        if not judged:
            assert score.accuracy is None
            continue
        share = wilson(sum(p == t for p, t in judged), len(judged))
        assert (score.accuracy, score.low, score.high) == (share.value, share.low, share.high)
        expected = score_binary([t for _, t in judged], [p for p, _ in judged])
        for figure in ("precision", "recall", "f1"):
            found = getattr(score, figure)
            if found is not None:
                value, low, high = found
                assert value == pytest.approx(getattr(expected, figure))
                assert low - 1e-9 <= value <= high + 1e-9


def test_the_difference_from_the_rest_has_newcombes_interval() -> None:
    """The first example of Newcombe (1998): 56 of 70 against 48 of 80."""
    said = [1] * 56 + [0] * 14 + [1] * 48 + [0] * 32
    members = pl.DataFrame({"row_id": range(150), "part": [True] * 70 + [False] * 80})
    part = score_slices(said, [1] * 150, members)["part"]
    assert part.difference == pytest.approx(0.2)
    assert part.difference_low == pytest.approx(0.0524, abs=5e-5)
    assert part.difference_high == pytest.approx(0.3339, abs=5e-5)
    assert not part.worse
    rest = members.with_columns(~pl.col("part"))
    assert score_slices(said, [1] * 150, rest)["part"].worse


def test_rows_are_matched_by_id_and_labels_by_what_the_votes_say() -> None:
    votes = Votes.from_matrix([[0], [1], [1], [-1]], classes=["ham", "spam"], row_ids=list("abcd"))
    gold = {"a": "spam", "b": "spam", "c": "ham", "d": "ham"}
    members = pl.DataFrame({"row_id": list("dcba"), "late": [True, True, False, False]})
    scores = score_slices(MajorityVote(votes.classes).predict(votes, gold=gold), gold, members)
    assert scores.positive == "spam"
    assert (scores["late"].rows, scores["late"].answered, scores["late"].accuracy) == (2, 1, 0.0)
    assert scores["overall"].accuracy == pytest.approx(1 / 3)
    assert scores["overall"].precision is not None
    assert scores["overall"].precision[0] == pytest.approx(1 / 2)


def test_no_positive_class_among_three_unless_named() -> None:
    members = pl.DataFrame({"row_id": range(3), "all": [True] * 3})
    assert score_slices([0, 1, 2], [0, 1, 1], members)["overall"].f1 is None
    named = score_slices([0, 1, 2], [0, 1, 1], members, classes=["a", "b", "c"], positive="b")
    assert named["overall"].f1 is not None
    assert named["overall"].f1[0] == pytest.approx(2 / 3)
    with pytest.raises(LabelError, match="positive class 9 is none of"):
        score_slices([0, 1], [0, 1], members.head(2), positive=9)


def test_sources_by_slice() -> None:
    votes = Votes.from_matrix([[0, -1], [1, 1], [0, -1], [1, 0]], names=["a", "b"])
    members = pl.DataFrame({"row_id": range(4), "odd": [False, True, False, True]})
    frame = source_slices(votes, [0, 1, 1, -1], members)
    kept = frame.select("slice", "source", "rows", "coverage", "judged", "correct", "accuracy")
    assert kept.rows() == [
        ("overall", "a", 4, 1.0, 3, 2, pytest.approx(2 / 3)),
        ("overall", "b", 4, 0.5, 1, 1, 1.0),
        ("odd", "a", 2, 1.0, 1, 1, 1.0),
        ("odd", "b", 2, 1.0, 1, 1, 1.0),
    ]
    nobody = source_slices(votes, {}, members)
    assert nobody["accuracy"].null_count() == 4


def test_the_text_the_frame_and_the_description() -> None:
    said, truth = [1] * 40 + [0] * 40, [1] * 80
    members = pl.DataFrame({"row_id": range(80), "bad": [False] * 40 + [True] * 40})
    scores = score_slices(said, truth, members)
    assert str(scores).splitlines() == [
        "slice    rows  answered  accuracy              against the rest  F1 of 1",
        "overall  80    80        0.500 [0.393, 0.607]  -                 0.667 [0.564, 0.755]",
        "bad      40    40        0.000 [0.000, 0.088]  -1.000 *          0.000 [0.000, 0.161]",
    ]
    assert scores.frame["f1_low"][0] == pytest.approx(0.564, abs=1e-3)
    assert msgspec.json.decode(msgspec.json.encode(scores.describe()))["positive"] == "1"


def test_frames_that_are_no_slices_are_refused() -> None:
    with pytest.raises(LabelError, match="expected slices as a frame with 'row_id'"):
        score_slices([0], [0], {"part": [True]})  # type: ignore[arg-type]
    with pytest.raises(LabelError, match="slice 'n' is Int64, expected Boolean"):
        score_slices([0], [0], pl.DataFrame({"row_id": [0], "n": [1]}))
    members = pl.DataFrame({"row_id": [0], "a": [True]})
    with pytest.raises(LabelError, match="no slice 'b'; there are overall, a"):
        score_slices([0], [0], members)["b"]
    assert math.isclose(score_slices([0], [0], members)["a"].low or 0, 0.2065, abs_tol=1e-3)
