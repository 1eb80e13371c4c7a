"""Many rectangles made few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.regions import condensing
from gristmill.incremental.regions.condensing import condensed
from gristmill.incremental.regions.rectangle import Rectangle

SIDE = 24

places = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 19), st.integers(1, 5), st.integers(1, 5)).map(
        lambda drawn: Rectangle(drawn[0], drawn[1], drawn[0] + drawn[2], drawn[1] + drawn[3])
    ),
    min_size=1,
    max_size=12,
)


def painted(rectangles):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    for top, left, bottom, right in rectangles:
        mask[top:bottom, left:right] = True
    return mask


def waste(one, two, margin):
    """Pixels that the box of two has more than both, all with a margin."""

    def area(rectangle):
        return (rectangle.height + 2 * margin) * (rectangle.width + 2 * margin)

    return area(one.united(two)) - area(one) - area(two)


@given(places, st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_all_is_covered_by_few_that_are_apart(rectangles, most, margin):
    found = condensed(rectangles, most, margin)
    assert len(found) <= most
    assert not (painted(rectangles) & ~painted(found)).any()
    for number, one in enumerate(found):
        assert all(waste(one, two, margin) > 0 for two in found[:number])


def test_what_wastes_least_is_joined_first():
    near, far = Rectangle(0, 6, 4, 10), Rectangle(18, 18, 22, 22)
    assert set(condensed([Rectangle(0, 0, 4, 4), far, near], 2, 0)) == {
        Rectangle(0, 0, 4, 10),
        far,
    }
    assert len(condensed([Rectangle(0, 0, 4, 4), far, near], 3, 0)) == 3


@pytest.mark.skipif(library() is None, reason="no C compiler here")
@given(
    st.lists(st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 9)] * 2), max_size=40),
    st.integers(1, 16),
)
def test_the_same_boxes_without_kernels_in_c(drawn, most):
    rectangles = [Rectangle(top, left, top + down, left + on) for top, left, down, on in drawn]
    found = condensed(rectangles, most, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(condensing, "library", lambda: None)
        assert condensed(rectangles, most, 1) == found
