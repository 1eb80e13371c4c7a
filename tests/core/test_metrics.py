from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import DataError
from gristmill.core.metrics import difference_interval, score_binary, score_intervals

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=40)


def slow(pairs):
    hits = sum(1 for t, p in pairs if t == p == 1)
    false_alarms = sum(1 for t, p in pairs if p == 1 and t != 1)
    missed = sum(1 for t, p in pairs if t == 1 and p != 1)
    precision = hits / (hits + false_alarms) if hits + false_alarms else 0.0
    recall = hits / (hits + missed) if hits + missed else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    accuracy = sum(1 for t, p in pairs if t == p) / len(pairs)
    return {"precision": precision, "recall": recall, "f1": f1, "accuracy": accuracy}


@given(PAIRS)
def test_scores_agree_with_the_definitions(pairs):
    truth, predicted = zip(*pairs, strict=True)
    found = score_binary(truth, predicted).as_dict()
    assert found.pop("rows") == len(pairs)
    assert found == pytest.approx(slow(pairs))


@pytest.mark.parametrize(("truth", "predicted"), [([], []), ([1, 0], [1])])
def test_columns_that_cannot_be_compared(truth, predicted):
    for score in (
        lambda: score_binary(truth, predicted),
        lambda: score_intervals(truth, predicted),
        lambda: difference_interval(truth, predicted, predicted),
    ):
        with pytest.raises(DataError) as error:
            score()
        assert str(error.value) == (
            "expected two equally long, non-empty columns, "
            f"found ({len(truth)},) and ({len(predicted)},)"
        )


TRUTH = [1, 0, 1, 0, 1, 0, 0, 0, 1, 0] * 20
GOOD = [1, 0, 1, 0, 1, 0, 0, 1, 0, 0] * 20
BAD = [0, 1, 0, 1, 0, 0, 0, 0, 1, 0] * 20


def test_intervals_hold_the_figure():
    found = score_intervals(TRUTH, GOOD, draws=200)
    assert list(found) == ["precision", "recall", "f1"]
    for name, interval in found.items():
        assert interval.value == getattr(score_binary(TRUTH, GOOD), name)
        assert interval.low < interval.value < interval.high


def test_difference_tells_a_better_model():
    gain = difference_interval(TRUTH, GOOD, BAD, draws=200)
    assert gain.value == pytest.approx(score_binary(TRUTH, GOOD).f1 - score_binary(TRUTH, BAD).f1)
    assert gain.low > 0
    back = difference_interval(TRUTH, BAD, GOOD, draws=200)
    assert (back.low, back.high) == pytest.approx((-gain.high, -gain.low))


def test_a_model_does_not_differ_from_itself():
    same = difference_interval(TRUTH, GOOD, GOOD, draws=50)
    assert (same.value, same.low, same.high) == (0, 0, 0)
