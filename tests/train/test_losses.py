from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from gristmill.core.errors import UsageError
from gristmill.train.losses import (
    ClassWeightedCrossEntropy,
    GeneralizedCrossEntropy,
    SmoothedCrossEntropy,
    SymmetricCrossEntropy,
    noise_aware_loss,
    resolve_loss,
    soft_cross_entropy,
)


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def soft() -> Tensor:
    return torch.rand(5, 3, generator=torch.Generator().manual_seed(1)).softmax(1)


TRUTH = torch.tensor([0, 2, 1, 1, 0])
ONE_HOT = torch.eye(3)[TRUTH]
CLASS_WEIGHTS = torch.tensor([0.5, 2.0, 1.25])


def test_equals_the_hard_loss_on_one_hot_targets(logits):
    expected = F.cross_entropy(logits, TRUTH, reduction="none")
    torch.testing.assert_close(soft_cross_entropy(logits, ONE_HOT), expected)


def test_is_the_expected_hard_loss():
    logits = torch.tensor([[0.3, -1.0]])
    each = [soft_cross_entropy(logits, torch.eye(2)[[c]]) for c in (0, 1)]
    found = soft_cross_entropy(logits, torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(found, 0.25 * each[0] + 0.75 * each[1])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_noise_aware_equals_torch(logits, soft, reduction):
    hard = noise_aware_loss(logits, ONE_HOT, reduction=reduction)
    torch.testing.assert_close(hard, F.cross_entropy(logits, TRUTH, reduction=reduction))
    found = noise_aware_loss(logits, soft, reduction=reduction)
    torch.testing.assert_close(found, F.cross_entropy(logits, soft, reduction=reduction))


def test_class_weights_are_not_normalised(logits, soft):
    each = F.cross_entropy(logits, TRUTH, weight=CLASS_WEIGHTS, reduction="none")
    found = noise_aware_loss(logits, ONE_HOT, class_weights=CLASS_WEIGHTS)
    torch.testing.assert_close(found, each.sum() / 5)
    found = noise_aware_loss(logits, soft, class_weights=CLASS_WEIGHTS)
    torch.testing.assert_close(found, F.cross_entropy(logits, soft, weight=CLASS_WEIGHTS))


def test_row_weights(logits, soft):
    weights = torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0])
    each = soft_cross_entropy(logits, soft)
    expected = {"none": each * weights, "sum": (each * weights).sum()}
    expected["mean"] = expected["sum"] / 3.5
    for reduction, value in expected.items():
        found = noise_aware_loss(logits, soft, weights=weights, reduction=reduction)
        torch.testing.assert_close(found, value)


def test_a_row_of_weight_zero_moves_nothing(logits, soft):
    logits.requires_grad_()
    noise_aware_loss(logits, soft, weights=torch.tensor([0.0, 1, 1, 1, 1])).backward()
    assert not logits.grad[0].any()
    assert logits.grad[1:].all()


def test_refusals(logits, soft):
    with pytest.raises(UsageError, match=r"^unknown reduction 'max', expected none, sum or mean$"):
        noise_aware_loss(logits, soft, reduction="max")
    with pytest.raises(UsageError, match=r"shape \[rows, classes\], found \[5, 3\] and \[5\]$"):
        noise_aware_loss(logits, TRUTH)
    with pytest.raises(UsageError, match=r"^expected weights of shape \[5\], found \[3\]$"):
        noise_aware_loss(logits, soft, weights=CLASS_WEIGHTS)
    with pytest.raises(UsageError, match=r"^expected class_weights of shape \[3\], found \[5\]$"):
        noise_aware_loss(logits, soft, class_weights=torch.ones(5))


def test_class_weighted(logits):
    found = ClassWeightedCrossEntropy((0.5, 2.0, 1.25))(logits, ONE_HOT)
    expected = F.cross_entropy(logits, TRUTH, weight=CLASS_WEIGHTS, reduction="none")
    torch.testing.assert_close(found, expected)
    with pytest.raises(UsageError, match=r"^class weights must be numbers of 0 or more"):
        ClassWeightedCrossEntropy((-1.0,))


def test_generalized_lies_between_its_two_ends(logits, soft):
    right = logits.softmax(1)
    absolute = (ONE_HOT - right).abs().sum(1) / 2
    torch.testing.assert_close(GeneralizedCrossEntropy(1.0)(logits, ONE_HOT), absolute)
    near = GeneralizedCrossEntropy(1e-3)(logits.double(), soft.double())
    torch.testing.assert_close(near, soft_cross_entropy(logits, soft).double(), rtol=1e-2, atol=0)


def test_generalized_gradient_is_that_of_the_cross_entropy_times_a_power(logits):
    logits.requires_grad_()
    (plain,) = torch.autograd.grad(soft_cross_entropy(logits, ONE_HOT).sum(), logits)
    (robust,) = torch.autograd.grad(GeneralizedCrossEntropy(0.7)(logits, ONE_HOT).sum(), logits)
    power = logits.softmax(1)[range(5), TRUTH] ** 0.7
    torch.testing.assert_close(robust, power[:, None] * plain)


def test_symmetric_adds_the_reverse(logits):
    right = logits.softmax(1)[range(5), TRUTH]
    expected = 0.1 * -right.log() + 4 * (1 - right)
    torch.testing.assert_close(SymmetricCrossEntropy()(logits, ONE_HOT), expected)


def test_smoothed_is_what_torch_smooths(logits):
    expected = F.cross_entropy(logits, TRUTH, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(SmoothedCrossEntropy(0.2)(logits, ONE_HOT), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GeneralizedCrossEntropy(0.0), r"^q must be above 0 and at most 1, found 0\.0$"),
        (lambda: SmoothedCrossEntropy(1.5), r"^smoothing must be above 0 and at most 1, found 1"),
        (lambda: SymmetricCrossEntropy(0, 0), r"^alpha and beta must be 0 or more, not both 0"),
        (lambda: SymmetricCrossEntropy(log_zero=0), r"log_zero below 0, found 0\.1, 1\.0, 0$"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_resolve():
    assert resolve_loss("soft_cross_entropy") == ("soft_cross_entropy", soft_cross_entropy)
    assert resolve_loss(soft_cross_entropy) == ("soft_cross_entropy", soft_cross_entropy)
    loss = GeneralizedCrossEntropy(0.5)
    assert resolve_loss(loss) == ("GeneralizedCrossEntropy(q=0.5)", loss)
    with pytest.raises(UsageError, match=r"^unknown loss 'l1', expected one of soft_cross"):
        resolve_loss("l1")
