import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.watch.served_rows import ServedRows


def batch(start, count):
    return Rows({"n": np.arange(start, start + count)}), Rows({"y": ["a"] * count})


def served(sizes, capacity, seed=0):
    sampler, start = ServedRows(capacity, seed=seed), 0
    for size in sizes:
        sampler.observe(*batch(start, size))
        start += size
    return sampler.take()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 30))
def test_a_sample_holds_rows_that_were_served_each_once(sizes, capacity):
    found = served(sizes, capacity)
    total = sum(sizes)
    numbers = found.columns.get("n", [])
    assert found.served == total
    assert found.rows == len(numbers) == min(total, capacity)
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(total))
    if total <= capacity:
        assert numbers == list(range(total))


def test_every_row_is_as_likely_as_any_other():
    counts = np.zeros(200)
    for seed in range(600):
        counts[served([1] * 50 + [7] * 20 + [10], 20, seed).columns["n"]] += 1
    expected = 600 * 20 / 200
    chi_square = ((counts - expected) ** 2 / expected / (1 - 20 / 200)).sum()
    assert 120 < chi_square < 290  # 199 degrees of freedom: 1e-4 to either side
    assert abs(counts[:50].mean() - counts[150:].mean()) < 5


def test_a_sample_begins_anew_when_it_is_taken():
    sampler = ServedRows(5)
    for start in range(100):
        sampler.observe(*batch(start, 1))
    sampler.take()
    assert sampler.take() == ({}, 0, 0)
    sampler.observe(*batch(7, 1))
    assert sampler.take().columns == {"n": [7], "prediction.y": ["a"]}


def test_tensors_are_sampled_as_figures():
    rows = Rows(
        {
            "image": np.arange(8, dtype=np.float32).reshape(2, 2, 2),
            "tokens": Ragged.of([np.array([1, 2, 3]), np.array([4])]),
            "text": ["x", None],
        }
    )
    sampler = ServedRows()
    sampler.observe(rows, Rows({"prob": np.array([0.5, 0.75])}))
    assert sampler.take().columns == {
        "image.mean": [1.5, 5.5],
        "tokens.length": [3, 1],
        "tokens.mean": [2.0, 4.0],
        "text": ["x", None],
        "prediction.prob": [0.5, 0.75],
    }


def test_probabilities_of_all_classes_are_left_out():
    sampler = ServedRows()
    answers = Rows({"label": ["a"], "probs": np.array([[0.25, 0.75]])})
    sampler.observe(Rows({"probs": [3]}), answers)
    assert sampler.take().columns == {"probs": [3], "prediction.label": ["a"]}


def test_a_column_that_comes_later_is_missing_before():
    sampler = ServedRows()
    sampler.observe(Rows({"a": [1]}), Rows({}, 1))
    sampler.observe(Rows({"b": [2]}), Rows({}, 1))
    assert sampler.take().columns == {"a": [1, None], "b": [None, 2]}


def test_few_rows_of_many_are_looked_at():
    class Counting(dict):
        looked = 0

        def items(self):
            Counting.looked += 1
            return super().items()

    sampler, rows = ServedRows(100), Rows({"n": [1]})
    rows.columns = Counting(rows.columns)
    for _ in range(20_000):
        sampler.observe(rows, Rows({}, 1))
    # k (1 + ln(n / k)) of them: 630
    assert pytest.approx(630, rel=0.25) == Counting.looked
