from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.augmenting.policies import ApplyAll, ApplyEach, ApplyOne, MeanField, Random


def sequences(policy, functions, n_per_original, rows=1):
    copies, length = policy.copies(functions, n_per_original), policy.length(functions)
    chances = np.random.default_rng(0).random((rows, copies, length))
    return policy.sequences(functions, chances)


def test_all():
    assert sequences(ApplyAll(), 3, 2).tolist() == [[[0, 1, 2], [0, 1, 2]]]


def test_each():
    assert sequences(ApplyEach(), 3, 1).tolist() == [[[0], [1], [2]]]
    assert sequences(ApplyEach(), 2, 2, rows=2).tolist() == [[[0], [1], [0], [1]]] * 2


def test_one_is_random_of_length_one():
    found = sequences(ApplyOne(), 4, 3, rows=500)
    assert found.shape == (500, 3, 1)
    np.testing.assert_array_equal(found, sequences(Random(), 4, 3, rows=500))


def test_random_draws_all_alike():
    found = sequences(Random(2), 4, 1, rows=4000)
    np.testing.assert_allclose(np.bincount(found.ravel()) / 8000, 0.25, atol=0.02)


def test_mean_field_draws_by_probability():
    found = sequences(MeanField((0.1, 0.0, 0.9, 0.0), 2), 4, 1, rows=4000)
    np.testing.assert_allclose(
        np.bincount(found.ravel(), minlength=4) / 8000, [0.1, 0, 0.9, 0], atol=0.02
    )


def test_mean_field_never_draws_what_is_impossible():
    edges = np.array([[[0.0, 0.5, np.nextafter(1, 0)]]])
    assert MeanField((0.0, 0.5, 0.5 - 1e-9, 0.0), 3).sequences(4, edges).tolist() == [[[1, 2, 2]]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Random(0), r"^sequence_length must be at least 1, found 0$"),
        (lambda: ApplyOne(2), r"^ApplyOne applies 1 function, found 2$"),
        (lambda: MeanField((0.5, 0.4)), r"^expected probabilities of 0 or more that sum to 1, f"),
        (
            lambda: sequences(MeanField((0.5, 0.5)), 3, 1),
            r"^expected 3 probabilities, one a function, found 2$",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(LabelError, match=message):
        make()
