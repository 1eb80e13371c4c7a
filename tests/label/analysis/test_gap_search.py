from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.analysis.gap_search import conflict_groups, gaps
from gristmill.label.functions.application import apply
from gristmill.label.functions.expressions import keywords
from gristmill.label.votes import Votes

WORDS = ["alpha", "theta", "gamma", "delta", "omega"]  # of one length, which tells nothing


@pytest.fixture
def table() -> pl.DataFrame:
    """600 messages of random words; with "cheap prize" they are spam, with "lunch" ham."""
    draw = np.random.default_rng(0)
    texts, kinds = [], []
    for row in range(600):
        words = draw.choice(WORDS, 6).tolist()
        words[2:4] = {0: ["cheap", "prize"], 1: ["lunch", words[3]]}.get(row % 6, words[2:4])
        texts.append(" ".join(words))
        kinds.append("spam" if row % 6 in (0, 3) else "ham")
    return pl.DataFrame({"text": texts, "label": kinds})


@pytest.fixture
def votes(table: pl.DataFrame) -> Votes:
    """Covers all but the first two kinds of rows, and some of them by accident."""
    known = np.where(np.arange(600) % 6 < 2, -1, (np.arange(600) % 6 == 3).astype(int))
    known[:36] = 0
    return Votes.from_matrix(known[:, None], classes=["ham", "spam"], names=["known"])


def test_what_uncovered_rows_share_is_found(table: pl.DataFrame, votes: Votes) -> None:
    found = gaps(votes, table, columns=["text"])
    assert (found.kind, found.rows, found.total) == ("uncovered", 188, 600)
    traits = [group.trait for group in found.groups]
    assert traits[0] in ("“cheap” in text", "“prize” in text", "“cheap prize” in text")
    assert traits[1] == "“lunch” in text"
    assert [group.rows for group in found.groups] == [94, 94]
    assert found.rest == 0
    assert found.groups[0].share == pytest.approx(0.5)
    assert found.groups[0].elsewhere == pytest.approx(6 / 412)
    assert found.suggestions == ()
    assert "188 of 600 rows are uncovered" in str(found)


def test_gold_gives_leanings_and_functions_that_work(table: pl.DataFrame, votes: Votes) -> None:
    gold = dict(enumerate(table["label"].to_list()))
    found = gaps(votes, table, columns=["text"], gold=gold)
    leans = {group.leaning.label for group in found.groups if group.leaning}
    assert leans == {"spam", "ham"}
    scope = {"keywords": keywords}
    functions = [eval(text, scope) for text in found.suggestions]  # our own text, in a test
    again = apply(functions, table, classes=["ham", "spam"])
    truth = (table["label"] == "spam").to_numpy()
    voted = again.matrix >= 0
    assert voted.any(axis=1)[~votes.covered].all()
    assert (again.matrix == truth[:, None])[voted].all()
    assert all(name.startswith("gap_") for name in again.names)


def test_a_models_word_stands_in_for_gold(table: pl.DataFrame, votes: Votes) -> None:
    probs = np.eye(2)[(table["label"] == "spam").to_numpy().astype(int)] * 0.9 + 0.05
    found = gaps(votes, table, columns=["text"], probs=probs)
    assert {group.leaning.judge for group in found.groups if group.leaning} == {"model"}
    assert len(found.suggestions) == 2


def test_groups_do_not_depend_on_the_order_of_rows(table: pl.DataFrame, votes: Votes) -> None:
    order = np.random.default_rng(1).permutation(600)
    frame = table.with_row_index("row_id").with_columns(pl.col("row_id").cast(pl.Int64))
    turned = Votes.from_matrix(
        votes.matrix[order], classes=votes.classes, names=votes.names, row_ids=order.tolist()
    )
    gold = dict(enumerate(table["label"].to_list()))
    for sample in (10_000, 150):
        one = gaps(votes, frame, columns=["text"], gold=gold, sample=sample)
        two = gaps(turned, frame[order.tolist()], columns=["text"], gold=gold, sample=sample)
        assert one.groups == two.groups
        assert one.examples.equals(two.examples)


def test_a_sample_is_counted_on_all_rows(table: pl.DataFrame, votes: Votes) -> None:
    found = gaps(votes, table, columns=["text"], sample=60)
    assert {group.rows for group in found.groups} == {94}


def test_conflicts_are_grouped_against_the_other_covered_rows(table: pl.DataFrame) -> None:
    prize = table["text"].str.contains("prize").to_numpy()
    matrix = np.column_stack([np.zeros(600, int), np.where(prize, 1, 0)])
    votes = Votes.from_matrix(matrix, classes=["ham", "spam"], names=["settle_prize", "b"])
    gold = dict(enumerate(table["label"].to_list()))
    found = conflict_groups(votes, table, columns=["text"], gold=gold)
    assert (found.kind, found.rows, found.rest) == ("in conflict", 100, 0)
    (group,) = found.groups
    assert group.leaning is not None
    assert group.leaning.label == "spam"
    assert (group.suggestion or "").startswith("keywords('settle_")
    assert "'settle_prize'" not in (group.suggestion or "")


def test_nothing_to_group_is_no_error(table: pl.DataFrame) -> None:
    full = Votes.from_matrix(np.zeros((600, 1), int), classes=2)
    found = gaps(full, table, columns=["text"])
    assert (found.rows, found.groups, found.rest) == (0, (), 0)
    assert found.frame.height == 0
    silent = Votes.from_matrix(np.full((600, 1), -1), classes=2)
    assert gaps(silent, table, columns=["text"]).rows == 600
    nothing = Votes.from_matrix(np.zeros((0, 1), int), classes=2)
    assert gaps(nothing, table.head(0), columns=["text"]).groups == ()


def test_the_frame_the_cells_and_the_description(table: pl.DataFrame, votes: Votes) -> None:
    gold = dict(enumerate(table["label"].to_list()))
    found = gaps(votes, table, columns=["text"], gold=gold)
    assert found.frame["leans_to"].to_list() == [g.leaning.label for g in found.groups if g.leaning]
    assert found.cells()[0] == ["shared", "rows", "share", "elsewhere", "leans to"]
    assert msgspec.json.decode(msgspec.json.encode(found.describe()))["rest"] == 0
    assert found.examples.columns == ["row_id", "text"]


def test_what_does_not_fit_is_refused(table: pl.DataFrame, votes: Votes) -> None:
    with pytest.raises(LabelError, match=r"expected probabilities of shape \(600, 2\), found"):
        gaps(votes, table, probs=np.zeros((3, 2)))
    with pytest.raises(LabelError, match="the table lacks 590 of the 600 rows"):
        gaps(votes, table.head(10))
    with pytest.raises(LabelError, match="expected groups, least and sample of 1 or more"):
        gaps(votes, table, least=0)
