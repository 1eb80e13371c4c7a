"""Groups of pixels: in which order they are computed, and what lies around them."""

from __future__ import annotations

import numpy as np

from gristmill.incremental.kernels.native.groups import Groups

SPANS = np.array([[0, 9, 0, 4], [9, 12, 4, 6]])
ROWS, COLUMNS = np.array([0, 1, 1, 0, 5, 4]), np.array([2, 0, 0, 1, 0, 0])
READ = np.array([[3, 9], [3, 10], [2, 9], [0, 8], [7, 1], [12, 1]], np.int32)
"""What pixels read, of a map of nine pixels and patches of it."""


def test_pixels_of_one_place_follow_each_other_within_a_group():
    assert Groups.of(SPANS, ROWS, COLUMNS, READ, 9).order.tolist() == [3, 0, 1, 2, 1, 0]


def test_of_each_group_the_pixels_of_the_map_that_it_reads_are_listed_once():
    groups = Groups.of(SPANS, ROWS, COLUMNS, READ, 9)
    listed = [groups.around[begin:end].tolist() for begin, end in groups.spans[:, 4:]]
    assert listed == [[0, 2, 3, 8], [1, 7]]
    assert groups.spans[:, :4].tolist() == SPANS.tolist()


def test_there_may_be_no_groups():
    nothing = np.empty(0, np.int64)
    groups = Groups.of(np.empty((0, 4), np.int64), nothing, nothing, READ[:0], 9)
    assert (groups.pixels, groups.most, len(groups.spans)) == (0, (0, 0), 0)
