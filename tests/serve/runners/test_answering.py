"""Answers: classes and their probabilities, or tensors; what a graph shouldn't give is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.runners.answering import ClassWriter, TensorWriter, softmax
from gristmill.serve.runners.rows import Ragged
from gristmill.store.signature import Field

OUTPUTS = [Field("label", "string"), Field("prob", "float")]


def test_classes_and_probabilities():
    write = ClassWriter(["a", "b"], OUTPUTS)
    assert [field.name for field in write.outputs] == ["label", "prob", "probs"]
    assert write.outputs[2].shape == [2]
    rows = write([np.array([[0.0, 0.0], [1000.0, 998.0], [0.0, np.log(3.0)]], np.float32)], 3)
    assert rows["label"] == ["a", "a", "b"]  # equal ones: the class named first
    np.testing.assert_allclose(rows["prob"], [0.5, 1 / (1 + np.exp(-2)), 0.75], rtol=1e-7)
    assert rows["probs"].dtype == np.float64
    np.testing.assert_allclose(rows["probs"].sum(1), 1.0)


def test_softmax_leaves_its_argument_alone():
    logits = np.array([[1.0, 2.0]])
    softmax(logits)
    assert logits.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("classes", [1, 10, 64, 65])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_rows_have_the_probabilities_of_few(classes, dtype):
    logits = np.random.default_rng(classes).normal(scale=300, size=(400, classes)).astype(dtype)
    logits[3], logits[5, 0], logits[7, 0] = -1e30, np.nan, np.inf
    before = logits.copy()
    few = np.concatenate([softmax(logits[start : start + 100]) for start in range(0, 400, 100)])
    np.testing.assert_allclose(softmax(logits), few, rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("logits", [np.zeros((3, 3)), np.zeros(2), Ragged.of([np.zeros(2)])])
def test_logits_of_another_shape(logits):
    with pytest.raises(ServeError, match=r"expected logits of shape \(2, 2\), found"):
        ClassWriter(["a", "b"], OUTPUTS)([logits], 2)


FIELDS = [
    Field("mean", "tensor", dtype="float32", shape=[2]),
    Field("each", "tensor", dtype="float32", shape=[None, 2]),
]


def test_tensors():
    each = Ragged.of([np.zeros((1, 2)), np.zeros((2, 2))])
    rows = TensorWriter(FIELDS)([np.zeros((2, 2)), each], 2)
    assert list(rows.columns) == ["mean", "each"]
    assert rows["each"] is each


def test_tensors_of_another_shape():
    each = Ragged.of([np.zeros((1, 2))])
    with pytest.raises(ServeError, match=r"output 'mean': expected 1 rows of \[2\], found 1 of"):
        TensorWriter(FIELDS)([np.zeros((1, 3)), each], 1)
    with pytest.raises(ServeError, match=r"'each': expected 1 rows of \[None, 2\], found 1 of \[2"):
        TensorWriter(FIELDS)([np.zeros((1, 2)), np.zeros((1, 2))], 1)
