from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.train.weak.logistic import Logistic, predict_logs
from gristmill.train.weak.sparse_rows import Floats, SparseRows


def problem(seed: int, rows: int, width: int, classes: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, width)) * (rng.random((rows, width)) < 0.6)
    return features, rng.dirichlet(np.ones(classes), rows), rng.random(rows) + 0.05


def objective(
    features: Floats, targets: Floats, weights: Floats, l2: float, found: Floats
) -> tuple[float, Floats]:
    """The definition, term by term, and its gradient by automatic differentiation."""
    b = torch.tensor(found, requires_grad=True)
    total = l2 / 2 * (b[:-1] ** 2).sum()
    for x, t, w in zip(features, targets, weights, strict=True):
        scores = torch.tensor(x) @ b[:-1] + b[-1]
        total = total - w * (torch.tensor(t) * torch.log_softmax(scores, 0)).sum()
    total.backward()
    return total.item(), b.grad.numpy()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 5), st.integers(2, 4))
def test_the_gradient_of_the_definition_is_zero_at_the_result(seed, rows, width, classes):
    features, targets, weights = problem(seed, rows, width, classes)
    sparse = SparseRows.of(features)
    dense = features / (np.sqrt((features**2).sum() / rows) or 1.0)
    found = Logistic(sparse).fit(targets, weights, 0.3, tolerance=1e-9)
    _, slope = objective(dense, targets, weights, 0.3, found)
    assert np.abs(slope).max() < 1e-6


def test_no_other_coefficients_are_better():
    features, targets, weights = problem(1, 30, 4, 3)
    rows = SparseRows.of(features)
    dense = features / np.sqrt((features**2).sum() / 30)
    found = Logistic(rows).fit(targets, weights, 0.5, tolerance=1e-9)
    best, _ = objective(dense, targets, weights, 0.5, found)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = found + rng.normal(scale=0.05, size=found.shape)
        assert objective(dense, targets, weights, 0.5, other)[0] > best


def test_where_it_starts_does_not_matter():
    features, targets, weights = problem(2, 20, 3, 2)
    logistic = Logistic(SparseRows.of(features))
    cold = logistic.fit(targets, weights, 1.0, tolerance=1e-10)
    start = np.ones_like(cold)
    warm = logistic.fit(targets, weights, 1.0, start=start, tolerance=1e-10)
    # The intercepts are free up to a constant that all classes share.
    np.testing.assert_allclose(warm[:-1] - warm[:-1].mean(1, keepdims=True),
                               cold[:-1] - cold[:-1].mean(1, keepdims=True), atol=1e-6)  # fmt: skip
    np.testing.assert_array_equal(start, 1)


def test_a_row_of_weight_two_is_two_rows():
    features, targets, weights = problem(3, 10, 3, 3)
    rows = SparseRows.of(np.ones((0, 3)))
    once = SparseRows.of(features)
    twice = once.take(np.array([*range(10), 0]))
    assert len(rows) == 0
    heavy = weights.copy()
    heavy[0] *= 2
    one = Logistic(once).fit(targets, heavy, 1.0, tolerance=1e-9)
    other = Logistic(twice).fit(
        targets[[*range(10), 0]], np.append(weights, weights[0]), 1.0, tolerance=1e-9
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_predicts_the_share_of_each_class_without_features():
    targets = np.eye(2)[[0, 0, 0, 1]]
    rows = SparseRows.of(np.zeros((4, 2)))
    found = Logistic(rows).fit(targets, np.ones(4), 1.0, tolerance=1e-10)
    np.testing.assert_allclose(np.exp(predict_logs(rows, found))[0], [0.75, 0.25], atol=1e-6)


def test_gradients_stay_switched_on_for_others():
    Logistic(SparseRows.of(np.eye(2))).fit(np.eye(2), np.ones(2), 1.0)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("l2", [0.01, 10.0])
def test_more_penalty_means_smaller_coefficients(l2):
    features, targets, weights = problem(4, 25, 3, 2)
    logistic = Logistic(SparseRows.of(features))
    smaller = logistic.fit(targets, weights, l2 * 3)
    assert np.linalg.norm(smaller[:-1]) < np.linalg.norm(logistic.fit(targets, weights, l2)[:-1])
