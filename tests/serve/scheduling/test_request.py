import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.scheduling.request import Request


def test_repr_says_what_it_is():
    assert repr(Request(3, 6.0, 1.5)) == "Request(3 rows, work 6, due 1.5, priority 0)"


def test_equal_rows_are_split_evenly_in_order():
    request = Request(10, 20.0, 1.0, 2, 100)
    parts = request.split(4, float("inf"))
    assert [(part.first, part.count, part.work) for part in parts] == [
        (0, 4, 8.0),
        (4, 4, 8.0),
        (8, 2, 4.0),
    ]
    assert all(part.whole is request and part.priority == 2 for part in parts)
    assert request.parts == parts


def test_work_bounds_a_part_as_well():
    parts = Request(10, 20.0, 1.0).split(100, 5.0)
    assert [part.count for part in parts] == [2, 2, 2, 2, 2]


def test_a_row_that_is_too_much_is_a_part_alone():
    work = np.array([1.0, 50.0, 1.0, 1.0])
    parts = Request(4, 53.0, 1.0, row_work=work).split(100, 5.0)
    assert [(part.first, part.count, part.work) for part in parts] == [
        (0, 1, 1.0),
        (1, 1, 50.0),
        (2, 2, 2.0),
    ]


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=30),
    st.integers(1, 10),
    st.floats(0.1, 30),
    st.booleans(),
)
def test_parts_cover_the_request_and_keep_the_bounds(costs, rows, work, uneven):
    row_work = np.array(costs) if uneven else None
    request = Request(len(costs), float(sum(costs)), 1.0, row_work=row_work)
    parts = request.split(rows, work)
    assert [part.first for part in parts] == [
        sum(part.count for part in parts[:place]) for place in range(len(parts))
    ]
    assert sum(part.count for part in parts) == len(costs)
    assert sum(part.work for part in parts) == pytest.approx(request.work)
    assert all(1 <= part.count <= rows for part in parts)
    assert all(part.work <= work * (1 + 1e-9) or part.count == 1 for part in parts)
