from __future__ import annotations

import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError
from gristmill.train.graphs.saved import SavedByPlace


def test_backward_reads_weights_where_they_lie_then():
    torch.manual_seed(0)
    line, x = nn.Linear(3, 3), torch.randn(4, 3, requires_grad=True)
    (wanted,) = torch.autograd.grad(line(x).sin().sum(), x)
    saved = SavedByPlace()
    saved.bound(line.parameters())
    with saved:
        total = line(x).sin().sum()
    for each in line.parameters():
        old, each.data = each.data, each.data.clone()
        old.fill_(77.0)
    saved.bound(line.parameters())
    (found,) = torch.autograd.grad(total, x)
    assert torch.equal(found, wanted)


def test_without_it_backward_would_read_what_lies_there_now():
    line, x = nn.Linear(3, 3), torch.ones(1, 3, requires_grad=True)
    total = line(x).sum()
    old, line.weight.data = line.weight.data, line.weight.data.clone()
    old.fill_(77.0)
    assert torch.equal(torch.autograd.grad(total, x)[0], torch.full((1, 3), 231.0))


@pytest.mark.parametrize("whose", ["weight", "value"])
def test_what_was_changed_in_place_since_is_refused(whose):
    line, x = nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True)
    saved = SavedByPlace()
    saved.bound(line.parameters())
    with saved:
        inner = line(x).exp()
        total = (inner * inner).sum() if whose == "value" else inner.sum()
    with torch.no_grad():
        (inner if whose == "value" else line.weight).mul_(2)
    with pytest.raises(TrainError, match=r"was changed in place after the forward \(version"):
        total.backward()
