from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import StepError
from gristmill.engine.inline import Inline
from gristmill.engine.tree import map_merge


def joined(left: str, right: str) -> str:
    return left + right


def fails_on_three(item: int) -> str:
    return str(1 // (item - 3))


@given(st.lists(st.integers(0, 99), max_size=600), st.integers(2, 9))
def test_the_order_of_the_items_is_kept(items: list[int], width: int) -> None:
    found = map_merge(Inline(), str, joined, items, width=width)
    assert found == ("".join(map(str, items)) or None)


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(5):
            taken.append(item)
            yield item

    def state(item: int) -> int:
        assert len(taken) <= item // 2 * 2 + 2
        return item

    assert map_merge(Inline(), state, int.__add__, items(), width=2) == 10
    assert taken == [0, 1, 2, 3, 4]


def test_an_item_that_fails_ends_it() -> None:
    with pytest.raises(StepError, match="ZeroDivisionError"):
        map_merge(Inline(), fails_on_three, joined, range(9))
