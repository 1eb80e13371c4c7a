from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.statistics import kll_sketch

MARKS = np.linspace(0.02, 0.98, 49)


def _laid_out(numbers: np.ndarray):
    return kll_sketch.lay_out(*np.unique(numbers, return_counts=True))


def _merged(parts):
    total = _laid_out(parts[0])
    for part in parts[1:]:
        total = kll_sketch.merge(total, _laid_out(part))
    return total


def _errors(sketch, numbers: np.ndarray) -> np.ndarray:
    """How far the ranks of the true quantiles are off."""
    ordered = np.sort(numbers)
    marks = ordered[(MARKS * len(ordered)).astype(int)]
    truth = np.searchsorted(ordered, marks, side="right") / len(ordered)
    return np.asarray(sketch.get_cdf(marks.tolist(), True)[:-1]) - truth


@given(st.lists(st.integers(1, 40_000), min_size=2, max_size=6), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_merging_keeps_how_many_there_are_and_the_extremes(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [np.round(rng.normal(size=size), 3) for size in sizes]
    total, whole = _merged(parts), np.concatenate(parts)
    assert total.n == len(whole)
    assert (total.get_min_value(), total.get_max_value()) == (whole.min(), whole.max())
    # Weights of all levels add up to the whole.
    assert total.get_cdf([float(whole.max())], True)[0] == pytest.approx(1.0, abs=1e-12)
    assert sum(len(level) << h for h, level in enumerate(kll_sketch._levels(total))) == len(whole)


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_sides_may_be_swapped_and_are_left_alone(one: int, two: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = _laid_out(rng.normal(size=one)), _laid_out(rng.gamma(2.0, size=two))
    before = left.serialize(), right.serialize()
    merged = kll_sketch.merge(left, right).serialize()
    assert merged == kll_sketch.merge(right, left).serialize()
    assert (left.serialize(), right.serialize()) == before


@pytest.mark.parametrize("kind", ["random", "sorted", "the same day again"])
def test_errors_of_ranks_keep_the_bound_and_lean_to_neither_side(kind: str) -> None:
    worst, middle = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        numbers = rng.lognormal(size=60_000)
        if kind == "sorted":
            numbers.sort()
        parts = np.array_split(numbers, 20)
        if kind == "the same day again":
            parts = parts[:4] * 5
        total = _merged(parts)
        errors = _errors(total, np.concatenate(parts))
        worst.append(np.abs(errors).max())
        middle.append(errors[24])
        bound = total.normalized_rank_error(False) + kll_sketch.LAYOUT_ERROR
    # The bound is of one rank at 99 %; here are the worst of 49 of each of 30 runs.
    assert np.mean(np.array(worst) > bound) <= 0.1
    assert max(worst) <= 2 * bound
    assert abs(np.mean(middle)) <= bound / 3


def test_bytes_are_the_same_in_another_process() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from gristmill.validate.statistics.quantiles import Quantiles\n"
        "rng = np.random.default_rng(3)\n"
        "total = Quantiles.empty()\n"
        "for _ in range(6):\n"
        "    total = total + Quantiles.of(rng.normal(size=40_000))\n"
        "print(hashlib.sha256(total.to_bytes()).hexdigest(), total.exact)\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.endswith("False\n")
