from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.spans.documents import Documents
from gristmill.label.spans.majority import SpanMajority
from gristmill.label.spans.span_votes import SpanVotes


def votes(*documents: list[str]) -> SpanVotes:
    """Each document is a list of lines, a source each, of tags parted by blanks."""
    rows = [[line.split() for line in document] for document in documents]
    names = [f"s{index}" for index in range(len(rows[0]))]
    tags = {name: [document[index] for document in rows] for index, name in enumerate(names)}
    tokens = [["t"] * len(document[0]) for document in rows]
    return SpanVotes.from_tags(Documents.of(tokens), tags, ["x", "y"])


def test_the_tag_with_most_votes_wins() -> None:
    found = SpanMajority(["x", "y"]).predict(
        votes(["B-x I-x O O", "B-x I-x O B-y", "B-y O O O"], ["O O", "O O", "O O"])
    )
    assert found.bio(0) == ["B-x", "I-x", "O", "B-y"]
    assert found.bio(1) == ["O", "O"]
    assert found.table.select("start", "end", "class").rows() == [(0, 2, "x"), (3, 4, "y")]
    np.testing.assert_allclose(found.table["prob"], [(2 / 3 + 1) / 2, 1.0])


def test_winners_that_do_not_fit_give_way_to_whole_spans() -> None:
    # Token by token the winners are B-y (3 of 5) and I-x (2 of 2), which is no span.
    found = SpanMajority(["x", "y"]).predict(votes(["B-x I-x"] * 2 + ["B-y O"] * 3))
    assert found.bio(0) == ["B-x", "I-x"]


def test_a_quorum_asks_for_more_voices() -> None:
    drawn = votes(["B-x O B-x", "O O B-x"])
    assert SpanMajority(["x", "y"], quorum=2).predict(drawn).bio(0) == ["O", "O", "B-x"]


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(LabelError, match="expected a quorum of 1 or more, found 0"):
        SpanMajority(["x"], quorum=0)
    with pytest.raises(LabelError, match=r"have classes \['x', 'y'\], expected \['x'\]"):
        SpanMajority(["x"]).predict(votes(["O"]))
