from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.additive import AdditiveModel, add_up, answers_of, softmax
from gristmill.label.models.dawid_skene import DawidSkene
from gristmill.label.models.matrix_completion import MatrixCompletion
from gristmill.label.models.triplets import Triplets
from gristmill.label.models.weighted import WeightedVote
from gristmill.label.votes import Votes

MODELS = [
    WeightedVote(3, accuracy=0.6),
    DawidSkene(3, emission="class", prior="estimated", abstention=True),
    Triplets(3, average="mean", prior=[0.2, 0.3, 0.5]),
    MatrixCompletion(3, precision=[0.6, 0.7, 0.8, 0.7], epochs=20, scale=0.7),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


@pytest.fixture
def drawn(draw: Callable[..., Any]) -> Any:
    return draw(300, [0.8, 0.7, 0.9, 0.6], [0.6] * 4, classes=3)


def anew(model: AdditiveModel) -> AdditiveModel:
    return type(model)(model.classes, **model._options())


@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(0, 9), st.integers(1, 4)), elements=st.integers(-1, 2)
    ),
    st.integers(0, 2**32 - 1),
)
def test_adding_up_equals_adding_by_hand(matrix: NDArray[np.int8], seed: int) -> None:
    rng = np.random.default_rng(seed)
    prior, table = rng.normal(size=3), rng.normal(size=(matrix.shape[1], 4, 3))
    order = rng.permutation(matrix.shape[1]).tolist()
    found = add_up(matrix, order, prior, table)
    for row, votes in enumerate(matrix):
        by_hand = prior.copy()
        for source, column in enumerate(order):
            by_hand += table[source, votes[column]]
        np.testing.assert_allclose(found[row], by_hand, atol=1e-12)


def test_blocks_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch, drawn: Any) -> None:
    model = DawidSkene(3).fit(drawn.votes)
    whole = model.predict_proba(drawn.votes)
    monkeypatch.setattr("gristmill.label.models.additive._BLOCK_ROWS", 7)
    np.testing.assert_array_equal(model.predict_proba(drawn.votes), whole)


def test_large_scores_do_not_overflow() -> None:
    probs = softmax(np.array([[1000.0, 999.0, -1000.0]]))
    np.testing.assert_allclose(probs, [[0.731059, 0.268941, 0]], atol=1e-6)
    assert softmax(np.empty((0, 2))).shape == (0, 2)


def test_answers_are_counted_abstain_last(six_by_six: NDArray[np.int64]) -> None:
    counts = answers_of(Votes.from_matrix(six_by_six, classes=3))
    assert counts.tolist()[:2] == [[0, 2, 1, 3], [0, 0, 0, 6]]
    assert counts.sum(axis=1).tolist() == [6] * 6


@each_model
def test_it_finds_the_classes(model: AdditiveModel, drawn: Any) -> None:
    probs = anew(model).fit(drawn.votes).predict_proba(drawn.votes)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    covered = drawn.votes.covered
    assert (probs.argmax(axis=1) == drawn.truth)[covered].mean() > 0.75


@each_model
def test_the_order_of_rows_and_global_random_state_do_not_matter(
    model: AdditiveModel, drawn: Any
) -> None:
    shuffled = np.random.default_rng(0).permutation(300)
    first = anew(model).fit(drawn.votes)
    np.random.seed(5)
    state = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    second = anew(model).fit(Votes.from_matrix(drawn.matrix[shuffled], classes=3))
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index, union-attr]
    np.testing.assert_allclose(first.fitted.table, second.fitted.table, rtol=1e-12, atol=1e-13)
    assert first.fitted.facts == pytest.approx(second.fitted.facts)


@each_model
def test_sources_are_matched_by_name(model: AdditiveModel, drawn: Any) -> None:
    names = ["a", "b", "c", "d"]
    votes = Votes.from_matrix(drawn.matrix, classes=3, names=names)
    turned = Votes.from_matrix(drawn.matrix[:, ::-1], classes=3, names=names[::-1])
    fitted = anew(model).fit(votes)
    np.testing.assert_allclose(fitted.predict_proba(votes), fitted.predict_proba(turned))
    row = int(np.flatnonzero(votes.covered)[0])
    told, also = fitted.predict(votes).explain(row), fitted.predict(turned).explain(row)
    assert {e.source: e.log_odds for e in told.evidence} == pytest.approx(
        {e.source: e.log_odds for e in also.evidence}
    )
    assert list(told.model_probs.values()) == pytest.approx(fitted.predict_proba(votes)[row])


@each_model
def test_saving_and_loading(model: AdditiveModel, drawn: Any, tmp_path: Path) -> None:
    fitted = anew(model).fit(drawn.votes, {0: 1, 1: 2})
    fitted.save(tmp_path)
    first = (tmp_path / "model.json").read_bytes()
    again = type(model).load(tmp_path)
    again.save(tmp_path)
    assert (tmp_path / "model.json").read_bytes() == first
    assert again.__fingerprint__() == fitted.__fingerprint__() != anew(model).__fingerprint__()
    assert again.predict(drawn.votes).table.equals(fitted.predict(drawn.votes).table)
    assert again.describe() == fitted.describe()


@each_model
def test_an_unfitted_model_is_stored_too(model: AdditiveModel, tmp_path: Path) -> None:
    anew(model).save(tmp_path)
    assert type(model).load(tmp_path).describe() == anew(model).describe()
    assert anew(model).describe()["fitted"] is False


@each_model
def test_the_description_is_json_able(model: AdditiveModel, drawn: Any) -> None:
    fitted = anew(model).fit(drawn.votes, {0: 1})
    told = fitted.describe()
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
    assert (told["kind"], told["rows"], told["gold_rows"]) == (model.method, 300, 1)
    assert repr(fitted) == f"{type(model).__name__}(3 classes, fitted on 300 rows)"


@each_model
def test_gold_is_kept_and_silence_has_no_label(model: AdditiveModel, drawn: Any) -> None:
    silent = np.flatnonzero(~drawn.votes.covered)
    fitted = anew(model).fit(drawn.votes, {int(silent[0]): 2})
    table = fitted.predict(drawn.votes).table
    assert (table["label"][int(silent[0])], table["source"][int(silent[0])]) == (2, "gold")
    assert table["label"].to_numpy()[silent[1:]].tolist() == [-1] * (len(silent) - 1)
    np.testing.assert_allclose(
        fitted.predict_proba(drawn.votes)[silent[1]], fitted.describe()["balance"]
    )
    other = Votes.from_matrix(drawn.matrix[::-1].copy(), classes=3)
    assert "gold" not in fitted.predict(other).table["source"].to_list()
    assert fitted.predict(other, gold={5: 1}).table["label"][5] == 1


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"this is no stored weighted vote: .*No such file"):
        WeightedVote.load(tmp_path)
    Triplets(2).save(tmp_path)
    with pytest.raises(LabelError, match="expected a stored weighted vote, found a triplet model"):
        WeightedVote.load(tmp_path)
    stored = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(stored.replace('"moments"', '"surprise"'))
    with pytest.raises(LabelError, match=r"this is no stored triplet model: .*surprise"):
        Triplets.load(tmp_path)


@each_model
def test_votes_that_cannot_be_used(model: AdditiveModel, drawn: Any) -> None:
    with pytest.raises(LabelError, match=r"^no labelling function voted on any of the 4 rows\n"):
        anew(model).fit(Votes.from_matrix([[-1] * 4] * 4, classes=3))
    with pytest.raises(LabelError, match=r"^expected votes on at least one row, found none$"):
        anew(model).fit(Votes.from_matrix(np.empty((0, 4), int), classes=3))
    with pytest.raises(LabelError, match=r"^the model is for classes \['0', '1', '2'\], these"):
        anew(model).fit(Votes.from_matrix([[0, 1, 1, 0]]))
    with pytest.raises(LabelError, match=rf"^this {model.method} is not fitted\n"):
        anew(model).predict(drawn.votes)
    other = Votes.from_matrix([[0, 1, 1]], classes=3, names=["source_0", "source_1", "x"])
    with pytest.raises(LabelError) as caught:
        anew(model).fit(drawn.votes).predict_proba(other)
    assert str(caught.value).startswith(
        "the model was fitted on 4 sources; these votes lack source_2, source_3 and have x, "
        "unknown to it"
    )
