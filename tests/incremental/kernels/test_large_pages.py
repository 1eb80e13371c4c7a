"""Weights on large pages: the same numbers, where they begin on a page's edge."""

import gc
import mmap

import pytest
import torch

from gristmill.incremental.kernels.large_pages import on_large_pages

LARGE = 1 << 21
needs_large_pages = pytest.mark.skipif(
    not hasattr(mmap, "MADV_HUGEPAGE"), reason="no large pages on this system"
)


def numbers(bytes_):
    return torch.arange(bytes_ // 4, dtype=torch.float32)


@needs_large_pages
def test_numbers_are_copied_to_a_pages_edge_and_stay():
    values = numbers(LARGE + 64)
    found = on_large_pages(values)
    gc.collect()
    assert found.data_ptr() % LARGE == 0
    assert torch.equal(found, values)


def test_little_memory_stays_where_it_is():
    values = numbers(LARGE - 4)
    assert on_large_pages(values) is values


@needs_large_pages
def test_so_does_all_where_the_kernel_has_no_large_pages(monkeypatch):
    class Refusing(mmap.mmap):
        def madvise(self, *_):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Refusing)
    values = numbers(LARGE)
    assert on_large_pages(values) is values
