from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.spans.documents import Documents
from gristmill.label.spans.scoring import SpanScores, score_spans
from gristmill.label.spans.span_labels import SpanLabels
from gristmill.label.spans.span_votes import SpanVotes


def labels(tags: list[int]) -> SpanLabels:
    documents = Documents.of([["a", "b", "c"], ["d", "e"]])
    votes = SpanVotes.of(documents, {"s": np.array(tags, np.int16)}, ["x", "y"])
    return SpanLabels(np.array(tags), np.eye(5)[tags], votes, "test")


def test_a_span_counts_if_bounds_and_class_are_right() -> None:
    #          x--  y    x--        gold: x--  x    x  O
    scores = score_spans(labels([1, 2, 3, 1, 2]), [1, 2, 1, 1, 0])
    assert scores == {
        "all": SpanScores(hits=1, predicted=3, gold=3),
        "x": SpanScores(hits=1, predicted=2, gold=3),
        "y": SpanScores(hits=0, predicted=1, gold=0),
    }
    assert scores["x"].precision == 0.5
    assert scores["x"].recall == pytest.approx(1 / 3)
    assert scores["x"].f1 == pytest.approx(0.4)
    assert (scores["y"].recall, scores["y"].f1) == (0.0, 0.0)


def test_no_span_reaches_into_the_next_document() -> None:
    same = labels([0, 0, 1, 2, 0])
    assert score_spans(same, [0, 0, 1, 2, 0])["all"] == SpanScores(2, 2, 2)


def test_gold_of_another_length_is_refused() -> None:
    with pytest.raises(LabelError, match=r"expected 5 gold tags, found \[2\]"):
        score_spans(labels([0] * 5), [0, 0])
