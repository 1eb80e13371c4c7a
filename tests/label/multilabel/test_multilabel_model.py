from __future__ import annotations

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.multilabel.multilabel_model import MultiLabelModel
from gristmill.label.multilabel.multilabel_votes import MultiLabelVotes
from gristmill.label.votes import Votes


def drawn(rows: int, labels: int, seed: int) -> tuple[MultiLabelVotes, np.ndarray]:
    """Three sources that name labels; the third is mostly wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, labels)) < 0.3
    names = [f"label_{code}" for code in range(labels)]
    answers = {}
    for source, (found, wrong) in enumerate([(0.8, 0.05), (0.7, 0.05), (0.4, 0.35)]):
        said = np.where(truth, rng.random(truth.shape) < found, rng.random(truth.shape) < wrong)
        answers[f"s{source}"] = [[names[code] for code in np.flatnonzero(row)] for row in said]
    return MultiLabelVotes.of(names, answers, closed=list(answers)), truth


def believed(model: MultiLabelModel, votes: MultiLabelVotes) -> np.ndarray:
    table = model.predict(votes).table
    return np.array([[label in row for label in votes.labels] for row in table["labels"]])


def test_sources_are_weighed_label_by_label() -> None:
    votes, truth = drawn(500, 4, 0)
    ours = believed(MultiLabelModel(votes.labels).fit(votes), votes)
    counted = np.stack([votes[label].matrix.sum(axis=1) >= 2 for label in votes.labels], axis=1)
    assert (ours == truth).mean() > (counted == truth).mean()
    assert (ours == truth).mean() > 0.9


def test_sets_of_labels_with_a_probability_for_each() -> None:
    votes = MultiLabelVotes.of(
        ["a", "b", "c"],
        {"one": [["a", "b"], ["a"], None, ["a"]], "two": [["a"], ["a"], None, ["a"]]},
        row_ids=["p", "q", "r", "s"],
    )
    labels = MultiLabelModel(votes.labels).fit(votes).predict(votes)
    assert labels.table["row_id"].to_list() == ["p", "q", "r", "s"]
    assert labels.table["labels"].to_list() == [["a", "b"], ["a"], [], ["a"]]
    probs = np.array(labels.table["probs"].to_list())
    assert probs.shape == (4, 3)
    assert (probs[:, 2] == 0).all()
    assert probs[2, 0] == pytest.approx(probs[[0, 1, 3], 0].sum() / 4)
    assert labels.explain("p", "a").label == "yes"
    assert [each.source for each in labels.explain("p", "b").evidence] == ["one"]


def test_gold_rows_keep_their_labels() -> None:
    votes, truth = drawn(60, 3, 1)
    gold = {row: [votes.labels[code] for code in np.flatnonzero(truth[row])] for row in range(30)}
    labels = MultiLabelModel(votes.labels).fit(votes, gold).predict(votes, gold)
    assert labels.table["labels"].to_list()[:30] == list(gold.values())


def test_three_hundred_labels() -> None:
    votes, _ = drawn(9, 300, 2)
    labels = MultiLabelModel(votes.labels).fit(votes).predict(votes)
    assert labels.probs.shape == (9, 300)
    assert np.isfinite(labels.probs).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    silent = MultiLabelVotes.of(["a", "b"], {"s": [None]})
    with pytest.raises(LabelError, match="no source voted on any label of the 1 rows"):
        MultiLabelModel(["a", "b"]).fit(silent)
    with pytest.raises(LabelError, match="not fitted"):
        MultiLabelModel(["a", "b"]).predict(silent)
    with pytest.raises(
        LabelError, match="for labels 0 'a', 1 'c'; these votes are on 0 'a', 1 'b'"
    ):
        MultiLabelModel(["a", "c"]).fit(silent)
    votes = MultiLabelVotes.of(["a", "b"], {"s": [["a"]]})
    with pytest.raises(LabelError, match=r"^row 0: expected a list of labels as gold, found 'a'$"):
        MultiLabelModel(["a", "b"]).fit(votes, {0: "a"})
    labels = MultiLabelModel(["a", "b"]).fit(votes).predict(votes)
    with pytest.raises(LabelError, match="no source voted on label 'b' on any row"):
        labels.explain(0, "b")
    with pytest.raises(LabelError, match="no label 'z'"):
        labels.explain(0, "z")


def test_votes_of_another_kind_are_refused() -> None:
    votes = Votes.from_matrix([[0]], classes=2)
    with pytest.raises(LabelError, match="expected multi-label votes, found Votes"):
        MultiLabelModel(["a", "b"]).fit(votes)
