from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gristmill.core.errors import LabelError
from gristmill.label.models.label_model import LabelModel
from gristmill.label.ordinal.grades import spread_of, vote_median
from gristmill.label.ordinal.ordinal_model import OrdinalMajority, OrdinalModel, ordinal_counts
from gristmill.label.votes import Votes

K = 5


def grades_drawn(rows: int, seed: int) -> tuple[Votes, np.ndarray]:
    """Graders on a latent scale: each with a bias, a spread, and a share of rows that it sees."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(K, rows, p=[0.1, 0.2, 0.4, 0.2, 0.1])
    matrix = np.full((rows, 6), -1, np.int8)
    habits = [(0, 0.6, 0.7), (0.9, 0.5, 0.6), (-0.9, 0.5, 0.6), (0, 1.4, 0.8), (0.4, 1.2, 0.8)]
    for source, (bias, spread, share) in enumerate([*habits, (0, 2.5, 0.9)]):
        said = np.clip(np.round(truth + bias + spread * rng.normal(size=rows)), 0, K - 1)
        matrix[:, source] = np.where(rng.random(rows) < share, said, -1)
    return Votes.from_matrix(matrix, classes=K), truth


def slow_fit(matrix: np.ndarray, balance: np.ndarray, abstention: bool) -> np.ndarray:
    """Row by row, in plain probabilities, to the end."""
    rows, sources = matrix.shape
    classes, spread = len(balance), 0.4
    answers = np.array(
        [[(column == said).sum() for said in (*range(classes), -1)] for column in matrix.T], float
    )

    def posterior(emission: np.ndarray) -> np.ndarray:
        probs = np.tile(balance, (rows, 1))
        for row in range(rows):
            for source in range(sources):
                if abstention or matrix[row, source] >= 0:
                    probs[row] *= emission[source, matrix[row, source]]
        return probs / probs.sum(axis=1, keepdims=True)

    probs = np.empty((rows, classes))
    for _ in range(3):
        pseudo = ordinal_counts(answers, balance, spread, 0.5)
        probs = posterior(pseudo / pseudo.sum(axis=1, keepdims=True))
        for _ in range(500):
            counts = pseudo.copy()
            for row in range(rows):
                for source in range(sources):
                    counts[source, matrix[row, source]] += probs[row]
            moved = posterior(counts / counts.sum(axis=1, keepdims=True))
            step = np.abs(moved - probs).max()
            probs = moved
            if step < 1e-7:
                break
        seen = np.zeros((classes, classes))
        for row in range(rows):
            for source in range(sources):
                if matrix[row, source] >= 0:
                    seen[matrix[row, source]] += probs[row]
        spread = spread_of(seen)
    return probs


@settings(max_examples=15, deadline=None)
@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 6), st.just(3)), elements=st.integers(-1, 2)),
    st.booleans(),
)
def test_the_fit_is_that_of_plain_expectation_maximisation(
    matrix: np.ndarray, abstention: bool
) -> None:
    votes = Votes.from_matrix(matrix, classes=3)
    if not votes.covered.any():
        return
    balance = np.array([0.2, 0.5, 0.3])
    model = OrdinalModel(3, prior=balance.tolist(), abstention=abstention).fit(votes)
    expected = slow_fit(matrix, balance, abstention)
    covered = votes.covered
    np.testing.assert_allclose(model.predict_proba(votes)[covered], expected[covered], atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_make_it_better_than_vote_and_plain_model(seed: int) -> None:
    votes, truth = grades_drawn(800, seed)
    seen = votes.covered
    table = OrdinalModel(K).fit(votes).grades(votes)
    error = np.abs(table["median"].to_numpy() - truth)[seen].mean()
    plain = LabelModel(K).fit(votes).predict_proba(votes).argmax(axis=1)
    low, high = vote_median(votes.matrix, K)
    assert error < np.abs(plain - truth)[seen].mean()
    assert error < (np.abs(low - truth) + np.abs(high - truth))[seen].mean() / 2
    np.testing.assert_allclose(table["error"].to_numpy()[seen].mean(), error, atol=0.15)


def test_habits_of_sources_are_found() -> None:
    votes, _ = grades_drawn(3000, 7)
    sources = OrdinalModel(K).fit(votes).sources
    bias, error = sources["bias"].to_list(), sources["error"].to_list()
    assert bias[1] > 0.4
    assert bias[2] < -0.4
    assert abs(bias[0]) < 0.25
    assert error[0] < error[3] < error[5]


def test_gold_rows_keep_their_class_and_teach() -> None:
    votes, truth = grades_drawn(400, 1)
    gold = {row: int(truth[row]) for row in range(100)}
    labels = OrdinalModel(K).fit(votes, gold).predict(votes, gold)
    assert labels.table["label"][:100].to_list() == truth[:100].tolist()
    assert labels.table["source"][:100].unique().to_list() == ["gold"]
    assert len(labels.explain(200).evidence) == 6


def test_rows_without_votes_have_no_grade() -> None:
    votes = Votes.from_matrix([[0, 1], [-1, -1], [2, 2]], classes=3)
    model = OrdinalModel(3).fit(votes)
    assert model.grades(votes)["median"].to_list()[1] == -1
    assert model.predict(votes).table["label"].to_list()[1] == -1


def test_the_order_of_rows_does_not_matter() -> None:
    votes, _ = grades_drawn(300, 2)
    order = np.random.default_rng(0).permutation(300)
    moved = Votes.from_matrix(votes.matrix[order], classes=K)
    here, there = OrdinalModel(K).fit(votes), OrdinalModel(K).fit(moved)
    np.testing.assert_allclose(
        here.predict_proba(votes)[order], there.predict_proba(moved), atol=1e-9
    )


def test_a_model_comes_back_from_its_folder(tmp_path: Path) -> None:
    votes, _ = grades_drawn(100, 3)
    model = OrdinalModel(K).fit(votes)
    model.save(tmp_path)
    loaded = OrdinalModel.load(tmp_path)
    assert loaded.__fingerprint__() == model.__fingerprint__()
    assert (loaded.predict_proba(votes) == model.predict_proba(votes)).all()
    assert loaded.describe() == model.describe()
    (tmp_path / "ordinal_model.json").write_bytes(b"{")
    with pytest.raises(LabelError, match="this is no stored ordinal model"):
        OrdinalModel.load(tmp_path)


def test_what_cannot_be_fitted_is_refused() -> None:
    votes = Votes.from_matrix([[-1, -1]], classes=3)
    with pytest.raises(LabelError, match="no source voted on any of the 1 rows"):
        OrdinalModel(3).fit(votes)
    with pytest.raises(LabelError, match="the model is for classes"):
        OrdinalModel(4).fit(votes)
    with pytest.raises(LabelError, match="not fitted"):
        OrdinalModel(3).predict(votes)
    with pytest.raises(LabelError, match="expected a prior of 3 probabilities"):
        OrdinalModel(3, prior=[0.5, 0.5])
    with pytest.raises(LabelError, match="expected strength above 0, found 0"):
        OrdinalModel(3, strength=0)


def test_the_majority_shares_between_two_middle_votes() -> None:
    votes = Votes.from_matrix([[0, 2, -1], [1, 1, 4], [-1, -1, -1]], classes=K)
    assert OrdinalMajority(K).predict_proba(votes).tolist() == [
        [0.5, 0, 0.5, 0, 0],
        [0, 1, 0, 0, 0],
        [0.2] * 5,
    ]


def test_the_majority_gives_labels_and_wants_its_classes() -> None:
    votes = Votes.from_matrix([[0, 2], [1, 1], [-1, -1]], classes=3)
    labels = OrdinalMajority(3).predict(votes, gold={2: 2})
    assert labels.table["label"].to_list() == [-1, 1, 2]
    assert labels.table["source"].to_list() == ["model", "model", "gold"]
    assert labels.method == "ordinal majority"
    with pytest.raises(LabelError, match="the model is for classes"):
        OrdinalMajority(2).predict_proba(votes)


def test_a_matrix_is_no_votes() -> None:
    with pytest.raises(LabelError, match="expected votes, found list"):
        OrdinalModel(3).fit([[0, 1]])
