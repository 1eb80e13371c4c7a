from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.models.label_model import LabelModel
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes

ACCURACIES = [0.95, 0.6, 0.7, 0.55, 0.8]


def accuracy(probs: np.ndarray, truth: np.ndarray) -> float:
    best = probs == probs.max(axis=1, keepdims=True)
    return float((best / best.sum(axis=1, keepdims=True))[np.arange(len(truth)), truth].mean())


def test_it_beats_majority_vote_where_sources_differ(draw: Callable[..., Any]) -> None:
    drawn = draw(3000, ACCURACIES, [0.8] * 5)
    model = LabelModel(2).fit(drawn.votes)
    ours = accuracy(model.predict_proba(drawn.votes), drawn.truth)
    theirs = accuracy(MajorityVote(2).predict_proba(drawn.votes), drawn.truth)
    assert ours > theirs + 0.03


def test_estimated_accuracies_are_near_the_truth(draw: Callable[..., Any]) -> None:
    drawn = draw(20_000, ACCURACIES, [0.8] * 5)
    table = LabelModel(2, strength=0.005).fit(drawn.votes).sources
    np.testing.assert_allclose(table["accuracy"], ACCURACIES, atol=0.03)


@pytest.mark.parametrize("sources", [1, 2])
def test_few_sources_will_do(sources: int) -> None:
    votes = Votes.from_matrix([[0] * sources, [1] * sources, [-1] * sources])
    labels = LabelModel(2).fit(votes).predict(votes)
    assert labels.table["label"].to_list() == [0, 1, -1]


@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        ([[-1, -1, 1], [-1, 1, -1], [0, -1, -1]], [1, 1, 0]),
        ([[-1, 1, 0], [0, -1, 1], [1, 0, -1]], [-1, -1, -1]),
        ([[1, 1, 0], [-1, -1, -1], [1, 0, 1]], [1, -1, 1]),
    ],
)
def test_tiny_matrices(matrix: list[list[int]], wanted: list[int]) -> None:
    votes = Votes.from_matrix(matrix, classes=2)
    assert LabelModel(2).fit(votes).predict(votes).table["label"].to_list() == wanted


def test_neither_the_order_of_rows_nor_global_seeds_matter(draw: Callable[..., Any]) -> None:
    drawn = draw(500, ACCURACIES, [0.6] * 5)
    gold = {row: int(drawn.truth[row]) for row in range(100)}
    order = np.random.default_rng(3).permutation(500)
    shuffled = Votes.from_matrix(drawn.matrix[order], classes=2, row_ids=order.tolist())
    np.random.seed(1)
    first = LabelModel(2).fit(drawn.votes, gold)
    np.random.seed(2)
    second = LabelModel(2).fit(shuffled, gold)
    assert first.findings == second.findings
    np.testing.assert_allclose(
        first.predict_proba(drawn.votes)[order], second.predict_proba(shuffled), atol=1e-9
    )


def test_copies_of_a_bad_source_are_counted_once(draw: Callable[..., Any]) -> None:
    good = draw(3000, [0.75, 0.75, 0.75, 0.75, 0.55], [0.9, 0.9, 0.9, 0.9, 1.0])
    crowd = np.column_stack([good.matrix, *[good.matrix[:, 4]] * 7])
    votes = Votes.from_matrix(crowd, classes=2)
    model = LabelModel(2).fit(votes)
    assert model.findings.copies == ((4, 5, 6, 7, 8, 9, 10, 11),)
    assert model.sources["share"].to_list() == [1.0] * 4 + [1 / 8] * 8
    assert model.sources["copy_of"][4].to_list() == [f"source_{n}" for n in range(5, 12)]
    alone = LabelModel(2).fit(good.votes).predict_proba(good.votes)
    with_copies = accuracy(model.predict_proba(votes), good.truth)
    assert with_copies > accuracy(alone, good.truth) - 0.01
    assert with_copies > accuracy(MajorityVote(2).predict_proba(votes), good.truth) + 0.1


def test_gold_helps_where_sources_mislead(draw: Callable[..., Any]) -> None:
    """Three sources that err together against one that is right: only gold can tell."""
    drawn = draw(2000, [0.9, 0.45, 0.45, 0.45], [1.0, 1.0, 1.0, 1.0])
    gold = {row: int(drawn.truth[row]) for row in range(150)}
    rest = np.arange(2000) >= 150
    without = LabelModel(2).fit(drawn.votes).predict_proba(drawn.votes)
    model = LabelModel(2).fit(drawn.votes, gold)
    with_gold = model.predict_proba(drawn.votes)
    assert accuracy(with_gold[rest], drawn.truth[rest]) > 0.88
    assert accuracy(with_gold[rest], drawn.truth[rest]) >= accuracy(
        without[rest], drawn.truth[rest]
    )
    assert model.fitted.facts["trust"] == pytest.approx(0.8, abs=0.1)


def test_gold_rows_are_certain_and_weak_rows_weighted_by_trust(draw: Callable[..., Any]) -> None:
    drawn = draw(400, [0.8, 0.8, 0.8], [0.7] * 3)
    gold = {row: int(drawn.truth[row]) for row in range(60)}
    model = LabelModel(2).fit(drawn.votes, gold)
    table = model.predict(drawn.votes).table
    known = table.head(60)
    assert known["label"].to_list() == drawn.truth[:60].tolist()
    assert known["weight"].to_list() == [1.0] * 60
    assert known["source"].unique().to_list() == ["gold"]
    weak = table.tail(340).filter(pl.col("source") == "model")
    best = weak["probs"].arr.max().to_numpy()
    np.testing.assert_allclose(weak["weight"], (2 * best - 1) * model.fitted.facts["trust"])
    none = table.tail(340).filter(pl.col("source") == "none")
    assert none.height > 0
    assert none["label"].unique().to_list() == [-1]
    assert none["weight"].unique().to_list() == [0.0]


def test_without_gold_the_trust_is_full(draw: Callable[..., Any]) -> None:
    model = LabelModel(2).fit(draw(100, [0.8] * 3, [0.7] * 3).votes)
    assert model.fitted.facts == {"trust": 1.0, "temperature": 1.0}
    assert model.findings.gold == "agreement alone"
    reason = "default: 0 gold rows under a vote, 20 needed to choose"
    assert model.findings.chosen_because == reason


def test_gold_belongs_to_the_votes_it_came_with(draw: Callable[..., Any]) -> None:
    """Other tables also count their rows from 0; their rows are not these."""
    first, second = draw(100, [0.9] * 3, [0.9] * 3), draw(100, [0.9] * 3, [0.9] * 3, seed=1)
    model = LabelModel(2).fit(first.votes, dict.fromkeys(range(50), 1))
    assert (model.predict(first.votes).table["source"] == "gold").sum() == 50
    assert (model.predict(second.votes).table["source"] == "gold").sum() == 0
    told = model.predict(second.votes, gold={3: 0}).table
    assert (told["source"][3], told["label"][3]) == ("gold", 0)


def test_abstention_is_evidence_where_gold_says_so() -> None:
    """One source that speaks on spam only: silence means ham."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 1500)
    first = np.where(rng.random(1500) < np.where(truth == 1, 0.9, 0.02), 1, -1)
    second = np.where(
        rng.random(1500) < 0.6, np.where(rng.random(1500) < 0.65, truth, 1 - truth), -1
    )
    votes = Votes.from_matrix(np.column_stack([first, second]), classes=2)
    gold = {row: int(truth[row]) for row in range(300)}
    model = LabelModel(2).fit(votes, gold)
    assert "abstention" in model.findings.gold
    assert "ignored" not in model.findings.gold
    fixed = LabelModel(2, abstention=False).fit(votes, gold)
    covered = votes.covered
    ours = accuracy(model.predict_proba(votes)[covered], truth[covered])
    assert ours > accuracy(fixed.predict_proba(votes)[covered], truth[covered])


def test_the_balance_is_given_or_from_votes_and_gold(draw: Callable[..., Any]) -> None:
    drawn = draw(3000, [0.85] * 5, [0.8] * 5, balance=[0.85, 0.15])
    assert 0.6 < balance_of(LabelModel(2).fit(drawn.votes)) < 0.85
    gold = {row: int(drawn.truth[row]) for row in range(300)}
    assert balance_of(LabelModel(2).fit(drawn.votes, gold)) == pytest.approx(0.85, abs=0.06)
    given = LabelModel(2, prior=[0.3, 0.7]).fit(drawn.votes)
    assert balance_of(given) == pytest.approx(0.3)


def balance_of(model: LabelModel) -> float:
    balance = model.findings.balance
    assert sum(balance) == pytest.approx(1)
    return balance[0]


def test_silence_is_read_but_labels_nothing_unless_asked() -> None:
    """A source that finds nine in ten of a class: its silence speaks for the other."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    found = [np.where((truth == 1) & (rng.random(2000) < 0.9), 1, -1) for _ in range(3)]
    other = np.where((truth == 0) & (rng.random(2000) < 0.3), 0, -1)
    votes = Votes.from_matrix(np.column_stack([*found, other]), classes=2)
    model = LabelModel(2).fit(votes)
    silent = ~votes.covered
    assert silent.any()
    assert (model.predict_proba(votes)[silent].argmax(axis=1) == 0).all()
    assert model.predict(votes).table.filter(pl.Series(silent))["label"].unique().to_list() == [-1]
    asked = model.predict(votes, uncovered=True).table.filter(pl.Series(silent))
    assert asked["label"].unique().to_list() == [0]


@pytest.mark.parametrize("cuts", [[100, 250], [7], [400]])
def test_parts_give_the_model_of_the_whole(
    draw: Callable[..., Any], cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw(600, ACCURACIES, [0.6] * 5)
    gold = {row: int(drawn.truth[row]) for row in range(0, 600, 5)}
    for most in (1000, 60):  # the second makes a sample of the rows
        monkeypatch.setattr("gristmill.label.models.sample.cap", lambda *_, most=most: most)
        whole = LabelModel(2).fit(drawn.votes, gold)
        parts = [LabelModel(2).partial_fit(*part) for part in split(drawn.matrix, gold, cuts)]
        merged = parts[-1]
        for other in parts[:-1]:
            merged.merge(other)
        assert merged.findings == whole.findings
        assert merged.findings.exact == (most == 1000)
        assert merged.fitted.scoring == whole.fitted.scoring
        told = merged.predict(whole_votes(drawn.matrix[: cuts[0]], 0)).table
        assert (told["source"] == "gold").sum() == len(range(0, cuts[0], 5))


def split(
    matrix: np.ndarray, gold: dict[int, int], cuts: list[int]
) -> list[tuple[Votes, dict[int, int]]]:
    edges = [0, *cuts, len(matrix)]
    return [
        (
            whole_votes(matrix[start:stop], start),
            {row: label for row, label in gold.items() if start <= row < stop},
        )
        for start, stop in pairwise(edges)
    ]


def whole_votes(matrix: np.ndarray, start: int) -> Votes:
    ids = list(range(start, start + len(matrix)))
    return Votes.from_matrix(matrix, classes=2, row_ids=ids)


def test_parts_without_votes_wait_for_one_that_has_some() -> None:
    silent = whole_votes(np.full((3, 2), -1), 0)
    model = LabelModel(2).partial_fit(silent)
    with pytest.raises(LabelError, match=r"^no labelling function voted on any of the 3 rows\n"):
        model.predict(silent)
    model.partial_fit(whole_votes(np.array([[0, 1], [1, 1]]), 3))
    assert model.fitted.rows == 5


def test_what_was_loaded_cannot_go_on_learning(draw: Callable[..., Any], tmp_path: Path) -> None:
    votes = draw(50, [0.8] * 3, [0.8] * 3).votes
    LabelModel(2).fit(votes).save(tmp_path)
    loaded = LabelModel.load(tmp_path)
    with pytest.raises(LabelError, match=r"^this model was loaded, and does not have the votes"):
        loaded.partial_fit(votes)
    with pytest.raises(LabelError, match=r"^the other model has nothing to merge"):
        LabelModel(2).fit(votes).merge(loaded)
    with pytest.raises(LabelError, match=r"^the models are for classes \['0', '1'\] and \['0'"):
        LabelModel(2).merge(LabelModel(3))
    other = Votes.from_matrix([[0, 1]], names=["a", "b"])
    with pytest.raises(LabelError, match=r"^expected votes of the sources source_0, source_1"):
        LabelModel(2).fit(votes).partial_fit(other)


def test_rules_for_topics_are_not_taken_for_judges() -> None:
    """Rules that speak on a topic each find the topics, unless unanimous votes must stand."""
    rng = np.random.default_rng(0)
    truth, topic = rng.integers(0, 2, 4000), rng.integers(0, 4, 4000)
    columns = []
    for label, about, _ in product(range(2), range(4), range(4)):
        speaks = (topic == about) & (rng.random(4000) < 0.5)
        right = rng.random(4000) < np.where(truth == label, 0.6, 0.15)
        columns.append(np.where(speaks & right, label, -1))
    votes = Votes.from_matrix(np.column_stack(columns), classes=2)
    model = LabelModel(2).fit(votes)
    first, *others = model.findings.readings
    assert first.startswith("votes alone: kept")
    assert [other.partition(", ")[0] for other in others] == [
        "independent judges: not trusted", "votes alone: not trusted",
    ]  # fmt: skip
    ours = accuracy(model.predict_proba(votes), truth)
    assert ours > accuracy(MajorityVote(2).predict_proba(votes), truth) - 0.01
    misled = LabelModel(2, abstention=True).fit(votes)
    assert ours > accuracy(misled.predict_proba(votes), truth) + 0.1


def test_sources_have_an_estimate_and_a_measurement(draw: Callable[..., Any]) -> None:
    drawn = draw(2000, [0.9, 0.6, 0.7], [0.9, 0.9, 0.0])
    gold = {row: int(drawn.truth[row]) for row in range(200)}
    table = LabelModel(2).fit(drawn.votes, gold).sources
    first, _, idle = table.to_dicts()
    said = drawn.matrix[:200, 0] >= 0
    right = (drawn.matrix[:200, 0] == drawn.truth[:200]) & said
    assert (first["gold_votes"], first["gold_right"]) == (said.sum(), right.sum())
    assert first["low"] < first["gold_accuracy"] < first["high"]
    assert first["accuracy"] == pytest.approx(0.9, abs=0.05)
    assert [idle[name] for name in ("accuracy", "gold_accuracy", "low", "gold_votes")] == [
        None, None, None, 0,
    ]  # fmt: skip


def test_a_source_without_which_labels_change(draw: Callable[..., Any]) -> None:
    drawn = draw(500, [0.95, 0.6, 0.6], [1.0, 0.5, 0.5])
    model = LabelModel(2).fit(drawn.votes)
    table = model.influence(drawn.votes)
    assert table["source"].to_list() == ["source_0", "source_1", "source_2"]
    assert table["votes"].to_list() == (drawn.matrix >= 0).sum(axis=0).tolist()
    assert table["lost"][0] == ((drawn.matrix >= 0).sum(axis=1) == 1).sum()
    assert table["changed"][0] > table["changed"][1]


def test_sources_are_matched_by_name(draw: Callable[..., Any]) -> None:
    drawn = draw(300, [0.9, 0.6, 0.7], [0.8] * 3)
    names = ["a", "b", "c"]
    votes = Votes.from_matrix(drawn.matrix, classes=2, names=names)
    turned = Votes.from_matrix(drawn.matrix[:, ::-1], classes=2, names=names[::-1])
    model = LabelModel(2).fit(votes)
    np.testing.assert_allclose(model.predict_proba(votes), model.predict_proba(turned))
    first, second = model.predict(votes).explain(5), model.predict(turned).explain(5)
    assert {e.source: e.log_odds for e in first.evidence} == pytest.approx(
        {e.source: e.log_odds for e in second.evidence}
    )


def test_a_label_never_seen_in_the_fit_still_counts_as_better_than_chance() -> None:
    model = LabelModel(3).fit(Votes.from_matrix([[0, 0], [1, 1]], classes=3))
    probs = model.predict_proba(Votes.from_matrix([[2, -1]], classes=3))
    assert probs[0].argmax() == 2


def test_saving_and_loading(draw: Callable[..., Any], tmp_path: Path) -> None:
    drawn = draw(300, ACCURACIES, [0.6] * 5)
    gold = {row: int(drawn.truth[row]) for row in range(50)}
    model = LabelModel(2, prior=[0.4, 0.6], seed=3).fit(drawn.votes, gold)
    model.save(tmp_path)
    again = LabelModel.load(tmp_path)
    assert again.__fingerprint__() == model.__fingerprint__()
    assert again.predict(drawn.votes).table.equals(model.predict(drawn.votes).table)
    assert again.describe() == model.describe()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(LabelError, match="this is no stored label model"):
        LabelModel.load(empty)


def test_the_description_is_json_able_and_says_why(draw: Callable[..., Any]) -> None:
    import msgspec

    model = LabelModel(2)
    assert model.describe()["fitted"] is False
    assert repr(model) == "LabelModel(2 classes, not fitted)"
    told = model.fit(draw(50, [0.8] * 3, [0.8] * 3).votes).describe()
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
    assert told["chosen_because"] == model.findings.chosen_because


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "expected at least two classes, found 1"),
        ({"prior": [0.5]}, r"expected a prior of 2 probabilities above 0 that sum to 1, found \[0"),
        ({"prior": [1.0, 0.0]}, "expected a prior of 2 probabilities"),
        ({"prior": [2, 6]}, "expected a prior of 2 probabilities"),
        ({"accuracy": 0.5}, "expected accuracy between 0.5 and 1, found 0.5"),
        ({"strength": 0.0}, "expected a strength above 0, found 0.0"),
        ({"gold_strength": -1.0}, "expected a gold strength above 0, found -1.0"),
    ],
)
def test_arguments_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelModel(**{"classes": 2, **options})


@pytest.mark.parametrize(
    ("votes", "gold", "message"),
    [
        (
            Votes.from_matrix([[-1, -1]] * 4, classes=2),
            None,
            "^no labelling function voted on any of the 4 rows\n",
        ),
        (
            Votes.from_matrix(np.empty((0, 2), int), classes=2),
            None,
            "^expected votes on at least one row, found none$",
        ),
        (Votes.from_matrix([[2]]), None, r"^the model is for classes \['0', '1'\], these votes"),
        (Votes.from_matrix([[1]]), {0: 5}, "^row 0: gold label 5 is none of the classes"),
        (Votes.from_matrix([[1]]), {9: 1}, "^gold labels row 9, which is not among the 1 rows"),
    ],
)
def test_votes_and_gold_that_cannot_be_used(votes: Votes, gold: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelModel(2).fit(votes, gold)


def test_predicting_before_fitting_or_from_other_sources() -> None:
    votes = Votes.from_matrix([[0, 1]], names=["a", "b"])
    with pytest.raises(LabelError, match=r"^this label model is not fitted\n"):
        LabelModel(2).predict(votes)
    model = LabelModel(2).fit(votes)
    with pytest.raises(LabelError) as caught:
        model.predict(Votes.from_matrix([[0, 1]], names=["a", "c"]))
    assert str(caught.value).startswith(
        "the model was fitted on 2 sources; these votes lack b and have c, unknown to it"
    )
