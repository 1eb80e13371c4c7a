from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.train.records.free_space import FreeSpace

NBYTES = 40


def holes(taken: bytearray) -> list[tuple[int, int]]:
    """(bytes, offset) of all holes, slowly: `taken` has a 1 for each byte that is."""
    found, start = [], None
    for offset, byte in enumerate([*taken, 1]):
        if not byte and start is None:
            start = offset
        elif byte and start is not None:
            found.append((offset - start, start))
            start = None
    return sorted(found)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "take_at", "give"]), st.integers(0, 39), st.integers(1, 12)
        )
    )
)
def test_it_does_what_a_bitmap_does(calls):
    space, taken, sizes = FreeSpace(NBYTES), bytearray(NBYTES), {}
    for call, where, size in calls:
        if call == "take":
            fitting = [hole for hole in holes(taken) if hole[0] >= size]
            assert space.take(size) == (fitting[0][1] if fitting else None)
            where = fitting[0][1] if fitting else None
        elif call == "take_at" and where + size <= NBYTES and not any(taken[where : where + size]):
            space.take_at(where, size)
        elif call == "give" and where in sizes:
            space.give(where)
            size = sizes.pop(where)
            taken[where : where + size] = bytes(size)
            where = None
        else:
            where = None
        if where is not None:
            taken[where : where + size] = b"\1" * size
            sizes[where] = size
        assert space.taken == sizes
        assert space.largest == max((size for size, _ in holes(taken)), default=0)
        assert space.free == taken.count(0)
        runs = [(offset, size) for offset, size, is_taken in space.runs() if not is_taken]
        assert sorted((size, offset) for offset, size in runs) == holes(taken)


def test_the_smallest_hole_that_fits_is_taken():
    space = FreeSpace(20)
    for offset, size in [(0, 2), (6, 2), (10, 2)]:  # holes of 4, 2 and 8
        space.take_at(offset, size)
    assert space.take(2) == 8
    assert space.take(3) == 2
    assert space.take(9) is None


def test_what_is_not_free_or_not_taken_is_refused():
    space = FreeSpace(10)
    space.take_at(2, 4)
    with pytest.raises(UsageError, match=r"^3 bytes from 5 are not free$"):
        space.take_at(5, 3)
    with pytest.raises(UsageError, match=r"^nothing was taken at 3$"):
        space.give(3)
