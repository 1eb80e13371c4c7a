from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.explain import Scoring
from gristmill.label.models.label_model import LabelModel
from gristmill.label.votes import Votes

VOTES = Votes.from_matrix(
    [[1, 1, -1], [0, 1, 0], [1, -1, 1], [-1, -1, -1]],
    classes=["ham", "spam"],
    names=["shouts", "prize", "short"],
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_contributions_add_up_to_the_probabilities(seed: int, abstention: bool) -> None:
    rng = np.random.default_rng(seed)
    votes = Votes.from_matrix(rng.integers(-1, 3, (30, 4)), classes=3)
    gold = {row: int(rng.integers(0, 3)) for row in range(22)}
    model = LabelModel(3, abstention=abstention).fit(votes, gold)
    labels = model.predict(votes, gold={})
    row = int(np.flatnonzero(votes.covered)[0])
    told = labels.explain(row)
    total = np.log(model.state.balance) / model.state.temperature
    total = total + np.sum([each.scores for each in told.evidence], axis=0)
    probs = np.exp(total) / np.exp(total).sum()
    np.testing.assert_allclose(probs, list(told.probs.values()), rtol=1e-9)
    odds = told.prior_log_odds + sum(each.log_odds or 0.0 for each in told.evidence)  # type: ignore[operator]
    assert odds == pytest.approx(np.log(told.probs[told.best] / told.probs[told.runner_up]))


def test_votes_states_and_order() -> None:
    told = LabelModel(VOTES.classes).fit(VOTES).predict(VOTES).explain(1)
    assert (told.label, told.source, told.best, told.runner_up) == ("ham", "model", "ham", "spam")
    odds = [abs(each.log_odds or 0.0) for each in told.evidence]
    assert odds == sorted(odds, reverse=True)
    by_name = {each.source: each for each in told.evidence}
    assert (by_name["prize"].vote, by_name["prize"].state) == ("spam", "voted")
    assert (by_name["prize"].log_odds or 0.0) < 0 < (by_name["short"].log_odds or 0.0)
    assert by_name["prize"].fingerprint == VOTES.fingerprints[1]


def test_the_text() -> None:
    told = LabelModel(VOTES.classes).fit(VOTES).predict(VOTES).explain(0)
    lines = str(told).splitlines()
    assert lines[0].startswith("row 0: spam (from model, weight 0.")
    assert lines[1] == "  +0.00  prior, spam against ham"
    assert {line.split("  ")[-1] for line in lines[2:]} == {"shouts: spam", "prize: spam"}


def test_gold_overrides_and_says_so() -> None:
    labels = LabelModel(VOTES.classes).fit(VOTES, {0: "ham"}).predict(VOTES)
    told = labels.explain(0)
    assert (told.label, told.source, told.probs) == ("ham", "gold", {"ham": 1.0, "spam": 0.0})
    assert told.model_probs["ham"] < 1
    assert "  an expert's label; the votes below did not decide it" in str(told)


def test_a_row_without_votes() -> None:
    told = LabelModel(VOTES.classes).fit(VOTES).predict(VOTES).explain(3)
    assert (told.label, told.source, told.weight) == (None, "none", 0.0)
    assert str(told).startswith("row 3: no label (from none, weight 0.00; ham 0.500, spam 0.500)")


def test_a_row_that_is_not_there(draw: Callable[..., Any]) -> None:
    labels = LabelModel(VOTES.classes).fit(VOTES).predict(VOTES)
    with pytest.raises(LabelError, match=r"^no row with id 99 among 4 rows$"):
        labels.explain(99)


def test_scoring_keeps_every_digit() -> None:
    table = np.random.default_rng(0).random((2, 3, 2))
    assert np.array_equal(np.array(Scoring.of(np.array([0.1, 0.2]), table).table), table)
