from __future__ import annotations

import numpy as np

from gristmill.label.spans.documents import Documents
from gristmill.label.spans.span_labels import SpanLabels
from gristmill.label.spans.span_votes import SpanVotes


def test_what_was_taken_and_what_was_not_is_explained() -> None:
    documents = Documents.of([["z"], ["a", "b"]], ["p", "q"])
    tags = {"one": [["O"], ["B-x", "I-x"]], "two": [["O"], ["B-x", "O"]]}
    votes = SpanVotes.from_tags(documents, tags, ["x"])
    probs = np.array([[1, 0, 0], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]])
    labels = SpanLabels(np.array([0, 1, 0]), probs, votes, "test")
    assert labels.explain("q").rows() == [
        (0, 1, "x", True, 0.8, ["two"]),
        (0, 2, "x", False, 0.6000000000000001, ["one"]),
    ]
    assert labels.explain("p").height == 0
    assert labels.table.rows() == [("q", 0, 1, "x", 0.8)]
    assert labels.bio("q") == ["B-x", "O"]
    assert repr(labels) == "SpanLabels(2 documents, 1 spans, test)"
