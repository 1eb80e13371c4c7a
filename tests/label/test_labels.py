from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.labels import Labels, build_labels, winners
from gristmill.label.models.label_model import LabelModel
from gristmill.label.votes import Votes

CLASSES = ["ham", "spam", "eggs"]
VOTES = Votes.from_matrix(
    [[0, 0], [1, -1], [2, 1], [-1, -1]], classes=CLASSES, names=["a", "b"], row_ids=[4, 3, 2, 1]
)


def labels(gold: dict[int, int] | None = None, votes: Votes = VOTES) -> Labels:
    return LabelModel(CLASSES).fit(votes, gold).predict(votes)


def test_the_table() -> None:
    table = labels({2: 2}).table
    assert table.schema == {
        "row_id": pl.Int64,
        "label": pl.Int64,
        "probs": pl.Array(pl.Float64, 3),
        "weight": pl.Float64,
        "source": pl.String,
    }
    assert table["row_id"].to_list() == [4, 3, 2, 1]
    assert table["label"].to_list() == [0, 1, 2, -1]
    assert table["source"].to_list() == ["model", "model", "gold", "none"]
    assert table["probs"][2].to_list() == [0, 0, 1]
    np.testing.assert_allclose(table["probs"].to_numpy().sum(axis=1), 1)


def test_weights() -> None:
    probs = np.array([[0.6, 0.2, 0.2], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    known = np.array([True, True, True, False])
    gold = np.full(4, -1)
    built = build_labels(VOTES, probs, known, gold, method="m", model="f", trust=0.5)
    assert built.table["weight"].to_list() == pytest.approx([0.5 * (3 * 0.6 - 1) / 2, 0, 0.125, 0])
    assert built.table["label"].to_list() == [0, -1, -1, -1]


def test_what_was_handed_in_is_left_as_it_is() -> None:
    probs = np.full((4, 3), 1 / 3)
    gold = np.array([-1, 2, -1, 0])
    built = build_labels(VOTES, probs, VOTES.covered, gold, method="m", model="f")
    assert (probs == 1 / 3).all()
    assert built.table["probs"].to_list()[1::2] == [[0, 0, 1], [1, 0, 0]]
    assert built.table["source"].to_list() == ["model", "gold", "model", "gold"]
    assert built.table["weight"].to_list() == [0, 1, 0, 1]


def test_winners() -> None:
    probs = np.array([[0.2, 0.8], [0.5, 0.5], [0.5 + 1e-12, 0.5 - 1e-12]])
    assert winners(probs).tolist() == [1, -1, -1]
    assert winners(np.empty((0, 2))).tolist() == []


def test_saving_and_loading(tmp_path: Path) -> None:
    made = labels({2: 0})
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        made.save(folder)
    again = Labels.load(first)
    assert again.__fingerprint__() == made.__fingerprint__()
    assert again.table.equals(made.table)
    assert again.table.schema == made.table.schema
    assert again.explain(4) == made.explain(4)
    assert again.describe() == made.describe()
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)
    with pytest.raises(LabelError, match="these are no stored labels"):
        Labels.load(tmp_path)


def test_the_description() -> None:
    made = labels({2: 2})
    told = made.describe()
    assert (told["rows"], told["unlabelled"], told["method"]) == (4, 1, "label model")
    assert told["classes"] == {"ham": 1, "spam": 1, "eggs": 1}
    assert told["sources"] == {"gold": 1, "model": 2, "none": 1}
    assert told["functions"] == dict(zip(VOTES.names, VOTES.fingerprints, strict=True))
    assert told["model"] == made.model
    assert repr(made) == "Labels(4 rows, 3 classes, label model)"


def test_equal_versions_do_not_differ() -> None:
    assert labels().compare(labels()).height == 0


def test_comparing_tells_what_changed_and_whose_votes() -> None:
    before = labels()
    matrix = [[0, 0], [2, -1], [2, 1], [1, 1]]
    after_votes = Votes.from_matrix(matrix, classes=CLASSES, names=["a", "b"], row_ids=[4, 3, 2, 9])
    after = labels({4: 0}, after_votes)
    found = {row["row_id"]: row for row in before.compare(after).iter_rows(named=True)}
    assert (found[3]["change"], found[3]["label_before"], found[3]["label_after"]) == (
        "label",
        1,
        2,
    )
    assert found[3]["votes_changed"] == ["a"]
    assert (found[4]["change"], found[4]["source_after"], found[4]["prob_after"]) == (
        "source",
        "gold",
        1,
    )
    assert found[4]["votes_changed"] == []
    assert (found[1]["change"], found[1]["label_after"]) == ("removed", None)
    assert (found[9]["change"], found[9]["label_before"]) == ("added", None)
    assert found[9]["votes_changed"] == ["a", "b"]


def test_comparing_across_classes_is_refused() -> None:
    other = LabelModel(2).fit(Votes.from_matrix([[0]]))
    with pytest.raises(LabelError, match=r"^these labels have classes \['ham', 'spam', 'eggs'\], "):
        labels().compare(other.predict(Votes.from_matrix([[0]])))


def test_no_rows() -> None:
    none = Votes.from_matrix(np.empty((0, 2), int), classes=CLASSES, names=["a", "b"])
    made = LabelModel(CLASSES).fit(VOTES).predict(none)
    assert (len(made), made.describe()["mean_weight"]) == (0, 0.0)
