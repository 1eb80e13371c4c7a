from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.selection.awaiting import Awaited, Awaiting


def prediction(rows=1, when=0.0):
    return Awaited("", 0, 1.0, 0, when, rows, [["a"] * rows])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.lists(st.integers(0, 40), max_size=60))
def test_the_newest_wait_each_for_one_piece_of_feedback(capacity, asked):
    waiting = Awaiting(capacity=capacity)
    given_, told = 0, set()
    for number in asked:
        waiting.add(given_, prediction())
        given_ += 1
        if number >= given_:
            expected = "unknown"
        elif number < given_ - capacity:
            expected = "expired"
        else:
            expected = "repeated" if number in told else None
        found = waiting.find(number, 0, 0.0)
        if expected is None:
            assert isinstance(found, Awaited)
            waiting.told(number, 0)
            told.add(number)
        else:
            assert found == expected
    assert len(waiting) == min(capacity, given_)
    kept = set(range(given_)[-capacity:])
    assert waiting.waiting == len(kept - told)


def test_each_row_waits_for_itself():
    waiting = Awaiting()
    waiting.add(0, prediction(rows=3))
    waiting.told(0, 1)
    assert waiting.waiting == 1
    assert waiting.find(0, 1, 0.0) == "repeated"
    assert isinstance(waiting.find(0, 0, 0.0), Awaited)
    assert waiting.find(0, 3, 0.0) == "unknown"


def test_what_is_too_old_has_expired():
    waiting = Awaiting(max_age=10.0)
    waiting.add(0, prediction(when=100.0))
    assert isinstance(waiting.find(0, 0, 110.0), Awaited)
    assert waiting.find(0, 0, 110.1) == "expired"


def test_numbers_that_were_passed_over_are_not_unknown():
    waiting = Awaiting()
    waiting.skip(5)
    waiting.add(5, prediction())
    assert waiting.find(3, 0, 0.0) == "expired"
    assert waiting.find(6, 0, 0.0) == "unknown"
