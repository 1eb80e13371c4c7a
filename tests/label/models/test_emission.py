from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gristmill.label.models import emission
from gristmill.label.models.emission import Tied, free

Floats = NDArray[np.float64]


def counts_of(seed: int, sources: int, classes: int) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.gamma(0.7, 10, (sources, classes + 1, classes)) + 0.01


def slow_tied(counts: Floats, by_class: bool, sweeps: int) -> Floats:
    """One source at a time, on whole tables of P(answer | class)."""
    found = np.empty_like(counts)
    for source, table in enumerate(counts):
        classes = table.shape[1]
        rows = table.sum(axis=0)
        weight = np.repeat(table.sum(axis=1)[:, None] / table.sum(), classes, axis=1)
        for _ in range(sweeps):
            expected = weight / weight.sum(axis=0) * rows
            weight *= (table.sum(axis=1) / expected.sum(axis=1))[:, None]
            expected = weight / weight.sum(axis=0) * rows
            if by_class:
                for y in range(classes):
                    weight[y, y] *= table[y, y] / expected[y, y]
            else:
                lift = np.trace(table[:-1]) / np.trace(expected[:-1])
                for y in range(classes):
                    weight[y, y] *= lift
        found[source] = weight / weight.sum(axis=0)
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 4), st.booleans())
def test_fast_equals_slow(seed: int, sources: int, classes: int, by_class: bool) -> None:
    counts = counts_of(seed, sources, classes)
    fast = Tied.start(counts, by_class)(counts)
    slow = slow_tied(counts, by_class, emission._SWEEPS)
    np.testing.assert_allclose(np.exp(fast), slow, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.booleans())
def test_no_call_loses_likelihood(seed: int, classes: int, by_class: bool) -> None:
    tied = Tied.start(counts_of(seed, 2, classes), by_class)
    logs = tied.logs()
    for later in range(4):
        counts = counts_of(seed + later, 2, classes)
        before = (counts * logs).sum()
        logs = tied(counts)
        assert (counts * logs).sum() >= before - 1e-9 * abs(before)


@pytest.mark.parametrize("by_class", [False, True])
def test_at_rest_the_totals_are_right(by_class: bool) -> None:
    counts = counts_of(3, 4, 3)
    tied = Tied.start(counts, by_class)
    for _ in range(300):
        logs = tied(counts)
    expected = np.exp(logs) * counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected.sum(axis=2), counts.sum(axis=2), rtol=1e-6)
    right = np.einsum("jyy->jy", expected[:, :-1]), np.einsum("jyy->jy", counts[:, :-1])
    if not by_class:
        right = right[0].sum(axis=1), right[1].sum(axis=1)
    np.testing.assert_allclose(*right, rtol=1e-6)


def test_for_two_classes_and_a_source_that_votes_for_one_all_models_agree() -> None:
    counts = np.array([[[1e-9, 1e-9], [20.0, 80.0], [480.0, 420.0]]])
    expected = np.exp(free(counts))
    np.testing.assert_allclose(expected[0, 1], [0.04, 0.16], rtol=1e-6)
    for by_class in (False, True):
        tied = Tied.start(counts, by_class)
        for _ in range(200):
            logs = tied(counts)
        np.testing.assert_allclose(np.exp(logs)[0, 1:], expected[0, 1:], rtol=1e-4)
