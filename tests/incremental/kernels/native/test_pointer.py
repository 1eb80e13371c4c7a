"""Where arrays lie, however they do."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from gristmill.incremental.kernels.native.pointer import pointer

LEVELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
KEPT = LEVELS.copy()
KEPT.flags.writeable = False


@pytest.mark.parametrize(
    "values",
    [LEVELS, KEPT, LEVELS[1:3, 2:5], LEVELS[::-1], LEVELS[:0], np.ones(3, np.float32)],
    ids=["all", "not to be written to", "a part", "upside down", "nothing", "other numbers"],
)
def test_the_address_of_the_first_element(values):
    found = ctypes.cast(pointer(values), ctypes.c_void_p).value
    assert found == values.__array_interface__["data"][0]


def test_memory_lasts_as_long_as_the_pointer():
    kept = pointer(np.full(1 << 20, 7, np.uint8))
    other = np.full(1 << 20, 8, np.uint8)  # would take its place
    found = ctypes.string_at(ctypes.cast(kept, ctypes.c_void_p).value, other.size)
    assert found == b"\7" * other.size
