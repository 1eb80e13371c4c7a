"""The tiny networks of the captured graphs, for frames of one size, and covered pictures."""

from __future__ import annotations

import pytest
import torch
from tests.incremental.graph.conftest import NETS, SIZE, frame, trained

from gristmill.incremental.graph.capture import capture


def covered(picture, cover, patch, top, left):
    """A picture with a square of another in it."""
    found = picture.clone()
    place = (..., slice(top, top + patch), slice(left, left + patch))
    found[place] = cover[place]
    return found


@pytest.fixture(scope="session", params=NETS)
def net(request):
    """A module in evaluation mode and what was captured of it."""
    module = trained(NETS[request.param]()).eval()
    return module, capture(module, frame(*SIZE), any_size=False)


@pytest.fixture(scope="session")
def picture():
    return frame(*SIZE)


@pytest.fixture(scope="session")
def cover():
    return torch.full((1, 3, *SIZE), 0.5)
