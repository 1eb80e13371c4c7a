from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.spans import bio

CLASSES = 2
tag_lists = st.lists(st.integers(0, 2 * CLASSES), max_size=12)


@st.composite
def disjoint_spans(draw: st.DrawFn) -> tuple[list[bio.Span], int]:
    spans, place = [], 0
    for gap, length, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(0, CLASSES - 1)))
    ):
        spans.append((place + gap, place + gap + length, label))
        place += gap + length
    return spans, place + draw(st.integers(0, 2))


def slow_decode(tags: list[int]) -> list[bio.Span]:
    """One token after the other, as the CoNLL scorer reads them."""
    found: list[bio.Span] = []
    open_: tuple[int, int] | None = None
    for place, tag in enumerate([*tags, 0]):
        label = (tag + 1) // 2 - 1
        goes_on = open_ is not None and tag > 0 and tag % 2 == 0 and label == open_[1]
        if open_ is not None and not goes_on:
            found.append((open_[0], place, open_[1]))
            open_ = None
        if tag > 0 and open_ is None:
            open_ = (place, label)
    return found


@given(disjoint_spans())
def test_spans_come_back_from_their_tags(drawn: tuple[list[bio.Span], int]) -> None:
    spans, length = drawn
    tags = bio.encode(spans, length)
    assert bio.decode(tags) == spans
    before = np.concatenate([[0], tags[:-1]])
    assert bio.may_follow(CLASSES)[before, tags].all()


@given(st.lists(tag_lists, min_size=1, max_size=4))
def test_any_tags_decode_as_one_by_one_would_and_stay_in_their_documents(
    documents: list[list[int]],
) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in documents])])
    flat = np.array([tag for each in documents for tag in each], np.int64)
    expected = [
        (start + begin, end + begin, label)
        for each, begin in zip(documents, offsets, strict=False)
        for start, end, label in slow_decode(each)
    ]
    assert [tuple(span) for span in bio.bounds(flat, offsets).tolist()] == expected


def test_the_longest_of_overlapping_spans_stays() -> None:
    assert bio.decode(bio.encode([(0, 1, 1), (0, 3, 0), (2, 4, 1)], 4)) == [(0, 3, 0)]


def test_names_of_tags_and_what_may_follow() -> None:
    assert bio.tag_names(["per", "loc"]) == ("O", "B-per", "I-per", "B-loc", "I-loc")
    assert bio.may_follow(2).astype(int).tolist() == [
        [1, 1, 0, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1],
    ]


def test_tags_as_text() -> None:
    assert bio.parse_tags(["O", "B-per", "I-per"], ["per"]).tolist() == [0, 1, 2]
    with pytest.raises(LabelError, match=r"^tag 'S-per' is none of O, B-per, I-per$"):
        bio.parse_tags(["S-per"], ["per"])
