from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from gristmill.label import LabelModel, Labels, Votes
from gristmill.label.versions.comparison import Comparison, compare
from gristmill.label.versions.version import LabelVersion

CLASSES = ["ham", "spam"]
MATRIX = [[0, -1], [1, 1], [0, 1], [1, 1], [0, 0]]


def model(rows: int = 5) -> LabelModel:
    votes = Votes.from_matrix(MATRIX[:rows], classes=CLASSES, names=["a", "b"])
    return LabelModel(CLASSES).fit(votes)


def labels(
    matrix: Any = MATRIX, marks: tuple[str, str] = ("a1", "b1"), gold: Any = None, fit: Any = None
) -> Labels:
    votes = Votes.from_matrix(matrix, classes=CLASSES, names=["a", "b"])
    return (fit or model()).predict(replace(votes, fingerprints=marks), gold)


def only(found: Comparison) -> dict[str, Any]:
    assert found.rows.height == 1
    return found.rows.row(0, named=True)


def test_nothing_differs() -> None:
    found = compare(labels(), labels())
    assert not found
    assert found.exact == 1
    assert found.describe()["causes"] == []


def test_a_changed_source() -> None:
    later = [[1, -1], *MATRIX[1:]]
    found = compare(labels(), labels(later, marks=("a2", "b1")))
    row = only(found)
    assert (row["row_id"], row["change"], row["cause"], row["by"]) == (
        0, "label", "source changed", "a",
    )  # fmt: skip
    assert (row["label_before"], row["label_after"]) == ("ham", "spam")
    assert row["alone"]
    assert row["log_odds"] > 0
    assert row["also"] == []
    assert found.sources.rows() == [("a", "changed"), ("b", "same")]
    assert found.causes.rows() == [("source changed", "a", 1)]
    assert found.moves.rows() == [("ham", "spam", 1)]


def test_a_source_that_came_or_went() -> None:
    one = Votes.from_matrix([[0], [-1]], classes=CLASSES, names=["a"])
    two = Votes.from_matrix([[0, -1], [-1, 1]], classes=CLASSES, names=["a", "b"])
    before, after = (LabelModel(CLASSES).fit(votes).predict(votes) for votes in (one, two))
    row = only(compare(before, after))
    assert (row["row_id"], row["cause"], row["by"]) == (1, "source added", "b")
    assert (row["label_before"], row["source_before"]) == (None, "none")
    row = only(compare(after, before))
    assert (row["cause"], row["by"]) == ("source removed", "b")


@pytest.mark.parametrize(
    ("before", "after", "change", "cause"),
    [
        (None, {0: "spam"}, "label", "gold added"),
        (None, {0: "ham"}, "source", "gold added"),
        ({0: "spam"}, None, "label", "gold removed"),
        ({0: "spam"}, {0: "ham"}, "label", "gold changed"),
    ],
)
def test_gold(before: Any, after: Any, change: str, cause: str) -> None:
    row = only(compare(labels(gold=before), labels(gold=after)))
    assert (row["change"], row["cause"], row["by"], row["alone"]) == (change, cause, None, True)
    assert row["log_odds"] is None


def test_the_weights_of_the_model() -> None:
    before = labels([[0, 1]] * 4 + [[1, 1]])
    other = model()
    votes = Votes.from_matrix([[0, 1]] * 9 + [[1, 1]] * 9, classes=CLASSES, names=["a", "b"])
    trusting_b = other.fit(votes, gold=dict.fromkeys(range(18), "spam"))
    trusting_a = model().fit(votes, gold={row: "ham" if row < 9 else "spam" for row in range(18)})
    found = compare(labels([[0, 1]] * 2, fit=trusting_a), labels([[0, 1]] * 2, fit=trusting_b))
    assert found.rows["cause"].to_list() == ["weights"] * 2
    assert found.rows["by"].to_list() == [None, None]
    assert before.classes == found.classes


def test_rows_that_came_or_went() -> None:
    found = compare(labels(), labels(MATRIX[:4]))
    row = only(found)
    assert (row["row_id"], row["change"], row["cause"], row["by"]) == (
        4,
        "removed",
        "row removed",
        None,
    )
    assert only(compare(labels(MATRIX[:4]), labels()))["cause"] == "row added"
    assert found.counts["before"] == 5
    assert found.counts["after"] == found.counts["both"] == 4


def test_a_row_that_reads_otherwise() -> None:
    texts = pl.DataFrame({"text": ["a", "b", "c", "d", "e"]})
    edited = pl.DataFrame({"text": ["A", "b", "c", "d", "e"]})
    later = labels([[1, -1], *MATRIX[1:]])
    row = only(compare(LabelVersion.of(labels(), texts), LabelVersion.of(later, edited)))
    assert (row["cause"], row["by"], row["content_changed"]) == ("row changed", "a", True)
    row = only(compare(LabelVersion.of(labels(), texts), LabelVersion.of(later, texts)))
    assert (row["cause"], row["content_changed"]) == ("votes changed", False)
    row = only(compare(labels(), later))
    assert (row["cause"], row["content_changed"]) == ("votes changed", None)


def test_several_together() -> None:
    names = ["a", "b", "c", "d", "e"]
    both = Votes.from_matrix([[0] * 5, [1] * 5, [0] * 5], classes=CLASSES, names=names)
    fit = LabelModel(CLASSES, abstention=False).fit(both)
    before = fit.predict(Votes.from_matrix([[0, 0, 0, 0, 0]], classes=CLASSES, names=names))
    after = fit.predict(Votes.from_matrix([[1, 1, 1, 1, 1]], classes=CLASSES, names=names))
    row = only(compare(before, after))
    assert (row["cause"], row["by"], row["alone"]) == ("together", None, False)
    assert sorted(row["also"]) == names


def test_probabilities_only_on_request() -> None:
    later = [[0, 0], *MATRIX[1:]]
    before, after = labels(), labels(later, marks=("a1", "b2"))
    assert not compare(before, after)
    assert compare(before, after).counts["probs"] == 1
    row = only(compare(before, after, probs=True))
    assert (row["change"], row["cause"], row["by"]) == ("probs", "source changed", "b")
    assert row["log_odds"] > 0


def test_labels_without_scores_have_unknown_causes() -> None:
    later = labels([[1, -1], *MATRIX[1:]], marks=("a2", "b1"))
    found = compare(replace(labels(), scoring=None), later)
    assert only(found)["cause"] == "unknown"
    assert found.exact == 0
