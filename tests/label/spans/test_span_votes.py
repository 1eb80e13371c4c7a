from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.spans.documents import Documents
from gristmill.label.spans.span_votes import SpanVotes, encode_documents

DOCUMENTS = Documents.of([["Ann", "Lee", "left"], [], ["Rome"]], ["x", "y", "z"])
CLASSES = ["per", "loc"]


def make() -> SpanVotes:
    return SpanVotes.from_tags(
        DOCUMENTS,
        {
            "names": [["B-per", "I-per", "O"], [], ["O"]],
            "places": [["O", "B-loc", "O"], [], ["B-loc"]],
        },
        CLASSES,
    )


def test_votes_as_a_table_of_spans() -> None:
    votes = make()
    assert votes.table.rows() == [
        ("x", "names", 0, 2, "per"),
        ("x", "places", 1, 2, "loc"),
        ("z", "places", 0, 1, "loc"),
    ]
    assert votes.spans("x", "names") == [(0, 2, 0)]
    assert len(votes) == 3
    assert votes.describe()["sources"] == {"names": 0.5, "places": 0.5}


def test_spans_and_tags_make_the_same_votes() -> None:
    tags = encode_documents(DOCUMENTS, [[(0, 2, 0)], [], []])
    other = SpanVotes.of(DOCUMENTS, {"names": tags}, CLASSES)
    assert (other.tags[:, 0] == make().tags[:, 0]).all()


def test_votes_come_back_from_their_folder(tmp_path: Path) -> None:
    votes = make()
    votes.save(tmp_path)
    assert SpanVotes.load(tmp_path).__fingerprint__() == votes.__fingerprint__()


@pytest.mark.parametrize("name", ["span_tags.parquet", "span_documents.parquet", "span_votes.json"])
def test_a_damaged_folder_is_refused(tmp_path: Path, name: str) -> None:
    make().save(tmp_path)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(LabelError, match="these are no stored span votes"):
        SpanVotes.load(tmp_path)


def test_what_is_no_vote_is_refused() -> None:
    with pytest.raises(LabelError, match=r"^source 'a': found tag 5 at token 1; expected 0 to 4$"):
        SpanVotes.of(DOCUMENTS, {"a": np.array([0, 5, 0, 0], np.int16)}, CLASSES)
    with pytest.raises(LabelError, match=r"^source 'a': expected 4 integer tags, found int16\[1\]"):
        SpanVotes.of(DOCUMENTS, {"a": np.array([0], np.int16)}, CLASSES)
    with pytest.raises(LabelError, match=r"^source 'a': expected one tag for each token$"):
        SpanVotes.from_tags(DOCUMENTS, {"a": [["O"], [], ["O"]]}, CLASSES)
    with pytest.raises(LabelError, match="one or more different classes, found 'per'"):
        SpanVotes.of(DOCUMENTS, {"a": np.zeros(4, np.int16)}, "per")
    with pytest.raises(LabelError, match="no document with id 'q' among 3"):
        make().spans("q", "names")
    with pytest.raises(LabelError, match="no source 'q'; there are names, places"):
        make().spans("x", "q")
