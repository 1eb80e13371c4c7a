"""PyTorch's number of threads: lent, shared, and put back."""

from __future__ import annotations

import pytest
import torch

from gristmill.serve.runners.threads import Threads


@pytest.fixture(autouse=True)
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_number_is_put_back():
    with Threads().use(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("count", [None, 2])
def test_nothing_to_do(count):
    with Threads().use(count):
        assert torch.get_num_threads() == 2


def test_uses_that_overlap():
    threads = Threads()
    first, second = threads.use(1), threads.use(3)
    first.__enter__()
    second.__enter__()
    assert torch.get_num_threads() == 3
    first.__exit__(None, None, None)
    assert torch.get_num_threads() == 3
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == 2


def test_a_number_that_stands_need_not_be_lent():
    threads = Threads()
    with threads.standing(1):
        assert torch.get_num_threads() == 1
        with threads.use(1):
            assert not threads._inside
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
