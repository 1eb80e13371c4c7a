from __future__ import annotations

import pytest
import torch

from gristmill.core.errors import UsageError
from gristmill.train.losses import resolve_loss, soft_cross_entropy


def test_equals_the_hard_loss_on_one_hot_targets():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([0, 2, 1, 1, 0])
    expected = torch.nn.functional.cross_entropy(logits, truth, reduction="none")
    torch.testing.assert_close(soft_cross_entropy(logits, torch.eye(3)[truth]), expected)


def test_is_the_expected_hard_loss():
    logits = torch.tensor([[0.3, -1.0]])
    each = [soft_cross_entropy(logits, torch.eye(2)[[c]]) for c in (0, 1)]
    found = soft_cross_entropy(logits, torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(found, 0.25 * each[0] + 0.75 * each[1])


def test_resolve():
    assert resolve_loss("soft_cross_entropy") == ("soft_cross_entropy", soft_cross_entropy)
    assert resolve_loss(soft_cross_entropy) == ("soft_cross_entropy", soft_cross_entropy)
    with pytest.raises(UsageError, match=r"^unknown loss 'l1', expected one of soft_cross"):
        resolve_loss("l1")
