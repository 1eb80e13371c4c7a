from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.data import csv_marks
from gristmill.data.csv_marks import Marks

TEXT = st.text('",\n\r\0ax', max_size=200).map(str.encode)


def slow(data: bytes, inside: bool) -> dict[str, list[int]]:
    """Walk byte by byte; `inside` is whether the data begins within quotes."""
    found: dict[str, list[int]] = {"ends": [], "delimiters": [], "wrong": []}
    for at, byte in enumerate(data):
        before, behind = data[at - 1 : at] if at else b"", data[at + 1 : at + 2]
        if byte == 34:
            inside = not inside
            allowed = b',\n"' if inside else b',\n\r"'
            if (before if inside else behind) not in {b"", *(bytes([c]) for c in allowed)}:
                found["wrong"].append(at)
        elif not inside and byte == 10:
            found["ends"].append(at)
        elif not inside and byte == 44:
            found["delimiters"].append(at)
        elif not inside and byte == 13 and behind not in (b"", b"\n"):
            found["wrong"].append(at)
    return found


@given(TEXT, st.sampled_from([0, 63, 64, 65, 200]), st.booleans())
def test_structures_agree_with_a_walk(data, padding, inside):
    data = b"x" * padding + data
    marks = Marks(data, 44)
    found = marks.odd if inside else marks.even
    for name, places in slow(data, inside).items():
        assert csv_marks.places(getattr(found, name)).tolist() == places


@given(TEXT.filter(bool), st.data())
def test_ranks_count_and_last(data, draw):
    bits = Marks(data, 44).delimiters
    places = [at for at, byte in enumerate(data) if byte == 44]
    assert csv_marks.count(bits) == len(places)
    assert csv_marks.last(bits) == (places[-1] if places else -1)
    at = draw.draw(st.integers(0, len(data)))
    assert csv_marks.ranks(bits, np.array([at])).tolist() == [sum(p < at for p in places)]


@pytest.mark.parametrize(("place", "odd"), [(0, False), (4, False), (6, True)])
def test_the_structure_at_a_place_has_the_parity_of_the_quotes_before_it(place, odd):
    marks = Marks(b'"a"\n"\nb', 44)
    assert (marks.at(place) is marks.odd) is odd
