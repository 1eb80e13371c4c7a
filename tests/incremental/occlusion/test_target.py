"""Scores of what a network returns."""

import pytest
import torch

from gristmill.core.errors import UsageError
from gristmill.incremental.occlusion.target import Target


def test_the_largest_element_is_explained():
    outputs = (torch.tensor([[1.0, 5.0, 2.0]]),)
    target = Target(None, outputs)
    assert (target.index, target.base) == (1, 5.0)
    assert target.scores((torch.arange(6.0).view(2, 3),)).tolist() == [1.0, 4.0]


def test_truths_and_whole_numbers_are_scores_too():
    mask = torch.tensor([[[False, True]]])
    target = Target(None, (mask,))
    assert (target.index, target.base) == (1, 1.0)
    assert target.scores((mask,)).dtype == torch.float32
    assert Target(0, (torch.tensor([[7, 9]]),)).base == 7.0


@pytest.mark.parametrize("shape", [(), (8, 4), (1, 0)])
def test_a_result_without_a_row_for_the_picture_is_refused(shape):
    with pytest.raises(UsageError, match="a row for the one picture"):
        Target(None, (torch.zeros(shape),))


def test_an_element_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="expected a target of 0 to 2, found 3"):
        Target(3, (torch.zeros(1, 3),))
