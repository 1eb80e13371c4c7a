from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.records.placement import Run, cheapest_window, packed

PIECES = st.lists(
    st.tuples(st.integers(1, 4), st.integers(-1, 3), st.booleans(), st.booleans()), max_size=9
)


def runs_of(pieces: list[tuple[int, int, bool, bool]]) -> list[Run]:
    offsets = [0, *accumulate(size for size, *_ in pieces)]
    return [
        Run(offset, size)
        if use < 0
        else Run(offset, size, offset, float(use), size * unwritten, fixed)
        for offset, (size, use, unwritten, fixed) in zip(offsets, pieces, strict=False)
    ]


@given(PIECES, st.integers(1, 10))
def test_no_other_window_loses_less(pieces, nbytes):
    runs = runs_of(pieces)

    def loss(window):
        return (
            -min(run.next_use for run in window),
            sum(run.unwritten for run in window),
            sum(run.nbytes for run in window if run.page >= 0),
        )

    windows = [
        runs[first:last] for first in range(len(runs)) for last in range(first + 1, len(runs) + 1)
    ]
    fitting = [
        window
        for window in windows
        if sum(run.nbytes for run in window) >= nbytes and not any(run.fixed for run in window)
    ]
    found = cheapest_window(runs, nbytes)
    assert (found is None) == (not fitting)
    if found is not None:
        assert found in fitting
        assert loss(found) == min(map(loss, fitting))


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 5))
def test_with_nothing_fixed_everything_that_fits_in_sum_is_packed(sizes, spare):
    offsets = packed(sum(sizes) + spare, [], sizes)
    assert offsets is not None
    rooms = sorted(zip(offsets, sizes, strict=True))
    assert all(a + size <= b for (a, size), (b, _) in pairwise(rooms))
    assert packed(sum(sizes), [], [*sizes, 1]) is None


def test_rooms_are_laid_around_what_is_fixed():
    fixed = [Run(4, 2, page=4)]
    assert packed(10, fixed, [3, 4]) == [6, 0]
    assert packed(10, fixed, [5]) is None
