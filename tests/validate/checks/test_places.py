from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate.checks.places import Part, Places, gather_reasons
from gristmill.validate.checks.seen import Seen

MASKS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)


@given(MASKS, st.integers(1, 90), st.booleans())
def test_reasons_of_every_row_in_order(
    masks: list[tuple[bool, bool]], size: int, named: bool
) -> None:
    ids = [f"r{row}" if named else row + 7 for row in range(len(masks))]
    found = {"one": Places(), "two": Places()}
    for number, start in enumerate(range(0, len(masks), size)):
        part = Part.of(number, pl.Series(ids[start : start + size]))
        for place, reason in enumerate(found):
            mask = pl.Series([pair[place] for pair in masks[start : start + size]])
            found[reason] += Places.of(mask, part)
    expected = [
        (ids[row], [name for name, hit in zip(found, pair, strict=True) if hit])
        for row, pair in enumerate(masks)
        if any(pair)
    ]
    if expected:
        rows, reasons = gather_reasons(list(found.items()))
        assert list(zip(rows, reasons.to_list(), strict=True)) == expected
    hits = [ids[row] for row, pair in enumerate(masks) if pair[0]]
    assert found["one"].first(3) == tuple(hits[:3])
    assert found["one"].count == len(hits)


def test_sparse_hits_are_kept_as_numbers() -> None:
    part = Part.of(0, pl.int_range(10_000, eager=True))
    mask = pl.int_range(10_000, eager=True) == 4321
    places = Places.of(mask, part)
    assert places.packed[0][1].nbytes == 4
    assert places.first(20) == (4321,)


def test_values_add_up_in_order_each_once() -> None:
    one, two = Seen(2, 5, ("b", "a")), Seen(3, 5, ("a", "c"), exact=False)
    both = one + two
    assert (both.count, both.total, both.values, both.exact) == (5, 10, ("b", "a", "c"), False)
    assert both.examples == ("'b'", "'a'", "'c'")
