from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.errors import LabelError
from gristmill.label.multilabel.multilabel_votes import MultiLabelVotes

LABELS = ["sport", "money", "art"]


def make() -> MultiLabelVotes:
    answers = {
        "lists": [["sport"], [], None],
        "complete": [{"art", "money"}, [], None],
        "maps": [{"sport": False, "art": None}, None, {"money": True}],
    }
    return MultiLabelVotes.of(LABELS, answers, row_ids=["a", "b", "c"], closed=["complete"])


def test_each_label_has_votes_for_and_against() -> None:
    votes = make()
    assert votes["sport"].matrix.tolist() == [[1, 0, 0], [-1, 0, -1], [-1, -1, -1]]
    assert votes["money"].matrix.tolist() == [[-1, 1, -1], [-1, 0, -1], [-1, -1, 1]]
    assert votes["art"].matrix.tolist() == [[-1, 1, -1], [-1, 0, -1], [-1, -1, -1]]
    assert votes["art"].classes == ("no", "yes")
    assert votes.row_ids.to_list() == ["a", "b", "c"]
    assert repr(votes) == "MultiLabelVotes(3 rows, 3 sources, 3 labels)"


def test_votes_come_back_from_their_folder(tmp_path: Path) -> None:
    votes = make()
    votes.save(tmp_path)
    assert MultiLabelVotes.load(tmp_path).__fingerprint__() == votes.__fingerprint__()


def test_a_tampered_folder_is_refused(tmp_path: Path) -> None:
    make().save(tmp_path)
    other = MultiLabelVotes.of(["x", "y"], {"s": [["x"]]})
    for file in (tmp_path / "1").iterdir():
        file.unlink()
    other["y"].save(tmp_path / "1")
    with pytest.raises(LabelError, match="the labels' votes are not on the same rows"):
        MultiLabelVotes.load(tmp_path)
    (tmp_path / "labels.json").write_bytes(b"[]")
    with pytest.raises(LabelError, match="these are no stored multi-label votes"):
        MultiLabelVotes.load(tmp_path)


@pytest.mark.parametrize("bad", ["sport", ["chess"], {"sport": 1}, {"chess": True}, 3, [["sport"]]])
def test_what_is_no_answer_is_refused(bad: object) -> None:
    with pytest.raises(LabelError) as caught:
        MultiLabelVotes.of(LABELS, {"s": [bad]}, row_ids=["q"])  # type: ignore[list-item]
    assert str(caught.value) == (
        f"source 's', row 'q': answered {bad!r}; expected a list of labels out of "
        "0 'sport', 1 'money', 2 'art', or label -> True or False, or None"
    )


def test_numbers_of_answers_must_agree() -> None:
    with pytest.raises(LabelError, match=r"^source 't': expected 1 answers, found 2$"):
        MultiLabelVotes.of(LABELS, {"s": [None], "t": [None, None]})
    with pytest.raises(LabelError, match="at least one source, found none"):
        MultiLabelVotes.of(LABELS, {})
    with pytest.raises(LabelError, match="no label 'chess'; there are 0 'sport', 1 'money'"):
        make()["chess"]
