from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gristmill.label.spans.bio import Span, decode, encode
from gristmill.label.spans.unanimity import overturned, unanimous

LENGTH = 6


def slow(said: list[list[Span]]) -> list[list[int]]:
    found = set()
    for span in {span for spans in said for span in spans}:
        near = [
            spans
            for spans in said
            if any(start < span[1] and span[0] < end for start, end, _ in spans)
        ]
        if all(span in spans for spans in near):
            found.add(span)
    return [list(span) for span in sorted(found)]


spans = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 3), st.integers(0, 1)), max_size=3
)


def column(drawn: list[tuple[int, int, int]]) -> NDArray[np.int16]:
    return encode([(at, min(LENGTH, at + size), label) for at, size, label in drawn], LENGTH)


@given(st.lists(spans, min_size=1, max_size=4), spans)
def test_unanimous_spans_are_those_that_all_who_speak_of_them_say(
    drawn: list[list[tuple[int, int, int]]], other: list[tuple[int, int, int]]
) -> None:
    tags, offsets = np.stack([column(each) for each in drawn], axis=1), np.array([0, LENGTH])
    agreed = unanimous(tags, offsets)
    assert agreed.tolist() == slow([decode(each) for each in tags.T])
    mine = {tuple(span) for span in decode(column(other))}
    lost = [tuple(span) not in mine for span in agreed.tolist()]
    assert overturned(agreed, column(other), offsets) == (np.mean(lost) if lost else 0)


def test_no_span_goes_beyond_a_document() -> None:
    tags = np.array([[1, 0], [1, 1], [2, 2]], np.int16)
    offsets = np.array([0, 1, 3])
    assert unanimous(tags, offsets).tolist() == [[0, 1, 0], [1, 3, 0]]
    assert overturned(unanimous(tags, offsets), np.array([1, 1, 0]), offsets) == 0.5
