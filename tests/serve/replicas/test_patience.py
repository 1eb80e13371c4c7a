import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.replicas.patience import Backoff, Care, Patience

CARE = Care(least=1.0, slack=10.0, most=30.0, first_pause=0.1, longest_pause=1.0, settled=10.0)


def test_before_anything_is_known_the_longest_time_is_allowed():
    assert Patience(CARE).limit(100) == 30.0


@pytest.mark.parametrize(
    ("nbytes", "seconds", "asked", "limit"),
    [
        (100, 0.5, 100, 5.0),
        (100, 0.5, 300, 15.0),
        (100, 0.5, 1, 5.0),
        (100, 0.001, 100, 1.0),
        (100, 0.5, 10_000, 30.0),
        (0, 0.5, 2, 10.0),
    ],
)
def test_the_limit_is_a_multiple_of_what_was_seen(nbytes, seconds, asked, limit):
    patience = Patience(CARE)
    patience.observe(nbytes, seconds)
    assert patience.limit(asked) == pytest.approx(limit)


def test_a_slow_batch_is_forgotten_in_time():
    patience = Patience(CARE)
    patience.observe(100, 2.0)
    for _ in range(2000):
        patience.observe(100, 0.2)
    assert patience.limit(100) == pytest.approx(2.0, rel=0.01)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.floats(1e-6, 100)), min_size=1),
    st.integers(0, 10**9),
)
def test_no_batch_like_the_last_one_is_given_up(seen, asked):
    patience = Patience(CARE)
    for nbytes, seconds in seen:
        patience.observe(nbytes, seconds)
        assert patience.limit(nbytes) >= min(CARE.most, seconds * CARE.slack * 0.9)
    assert CARE.least <= patience.limit(asked) <= CARE.most


def test_pauses_double_and_end_with_a_long_life():
    backoff = Backoff(CARE)
    pauses = [backoff.after(0.5) for _ in range(7)]
    assert pauses == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert backoff.after(11.0) == 0
    assert backoff.after(0.5) == pytest.approx(0.1)
