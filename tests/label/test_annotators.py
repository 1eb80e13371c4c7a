from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.intervals import wilson
from gristmill.label.annotators import Consensus, consensus

Said = dict[tuple[int, int], int]
"""(row, annotator) -> class."""


def _plainly(said: Said, classes: int, count: int) -> dict[int, list[float]]:
    """P(class) of each row by expectation-maximisation, one answer at a time."""
    rows = sorted({row for row, _ in said})
    accuracy = [0.9] * count
    for _ in range(200):
        probs = {}
        for row in rows:
            joint = [1.0] * classes
            for (other, who), code in said.items():
                for truth in range(classes):
                    if other == row:
                        wrong = (1 - accuracy[who]) / (classes - 1)
                        joint[truth] *= accuracy[who] if code == truth else wrong
            probs[row] = [each / sum(joint) for each in joint]
        moved = []
        for who in range(count):
            right, seen = 9.0, 10.0
            for (row, mine), code in said.items():
                if mine == who:
                    right, seen = right + probs[row][code], seen + 1
            moved.append(right / seen)
        step = max(abs(a - b) for a, b in zip(accuracy, moved, strict=True))
        accuracy = moved
        if step < 1e-9:
            break
    return probs


def _settle(said: Said, classes: int, count: int) -> Consensus:
    cells = np.array(list(said), np.int64).reshape(-1, 2)
    codes = np.array(list(said.values()), np.int64)
    return consensus(cells[:, 0], cells[:, 1], codes, classes, count)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 2)), st.integers(0, 3), min_size=1, max_size=18
    )
)
def test_as_plain_expectation_maximisation(said: Said) -> None:
    found = _settle(said, 4, 3)
    expected = _plainly(said, 4, 3)
    assert found.rows.tolist() == list(expected)
    for row, code, prob, disputed in zip(
        found.rows.tolist(), found.codes, found.probs, found.disputed, strict=True
    ):
        answers = {mine for (other, _), mine in said.items() if other == row}
        assert disputed == (len(answers) > 1)
        if not disputed:
            assert (code, prob) == (answers.pop(), 1.0)
            continue
        best, second = sorted(expected[row], reverse=True)[:2]
        if best - second > 1e-3:
            assert expected[row][code] == best
            assert prob == pytest.approx(best, abs=1e-4)


def test_the_one_who_is_mostly_right_decides() -> None:
    # "c" differs from both others on rows 0 to 4; on rows 5 and 6 it differs from one of them.
    said = {(row, who): int(who == 2) for row in range(5) for who in range(3)}
    said |= {(5, 0): 1, (5, 2): 0, (6, 1): 0, (6, 2): 1}
    found = _settle(said, 2, 3)
    assert found.codes.tolist() == [0] * 5 + [1, 0]
    assert found.disputed.all()
    quality = found.quality(("a", "b", "c"))
    assert quality["rows"].to_list() == quality["shared"].to_list() == [6, 6, 7]
    a, b, c = quality["accuracy"].to_list()
    assert a == pytest.approx(b)
    assert c < 0.2 < 0.9 < a
    ends = wilson(float(found.right[2]), 7)
    assert quality.row(2)[3:] == pytest.approx((ends.value, ends.low, ends.high))


def test_annotators_who_are_as_good_as_one_another_tie() -> None:
    found = _settle({(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 1}, 3, 2)
    assert found.codes.tolist() == [-1, 1]
    assert found.disputed.tolist() == [True, False]


def test_rows_that_nobody_else_answered_measure_nobody() -> None:
    quality = _settle({(0, 0): 0, (1, 1): 1}, 2, 2).quality(("a", "b"))
    assert quality["shared"].to_list() == [0, 0]
    assert quality["accuracy"].to_list() == [None, None]
    assert quality.select("low", "high").rows() == [(0.0, 1.0)] * 2


def test_the_order_of_answers_is_of_no_matter() -> None:
    rng = np.random.default_rng(0)
    said = {(row, who): int(rng.integers(0, 3)) for row in range(40) for who in range(4)}
    items = list(said.items())
    turned = dict(items[index] for index in rng.permutation(len(items)))
    first, second = _settle(said, 3, 4), _settle(turned, 3, 4)
    assert first.codes.tolist() == second.codes.tolist()
    np.testing.assert_allclose(first.probs, second.probs)


def test_no_answers() -> None:
    nothing = np.empty(0, np.int64)
    found = consensus(nothing, nothing, nothing, 2, 2)
    assert (len(found.rows), len(found.codes), len(found.probs)) == (0, 0, 0)
    assert found.answered.tolist() == [0, 0]


def test_one_annotator() -> None:
    found = Consensus.alone(np.array([-1, 2, 0]), 1)
    assert (found.rows.tolist(), found.codes.tolist()) == ([1, 2], [2, 0])
    assert found.quality(("a",)).row(0) == ("a", 2, 0, None, 0.0, 1.0)
