from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.labels import Labels, build_labels
from gristmill.label.models.label_model import LabelModel
from gristmill.label.scoring import Scoring
from gristmill.label.votes import Votes

VOTES = Votes.from_matrix(
    [[1, 1, -1], [0, 1, 0], [1, -1, 1], [-1, -1, -1]],
    classes=["ham", "spam"],
    names=["shouts", "prize", "short"],
)


TABLE = np.array(
    [
        [[0.5, 0.0], [-1.5, 0.5], [0.0, 0.0]],
        [[1.0, 0.0], [0.0, 1.0], [0.0, 0.25]],
        [[0.75, 0.0], [0.0, 0.5], [0.0, 0.0]],
    ]
)


def labels(silent: list[float] | None = None) -> Labels:
    scoring = Scoring.of(np.log([0.5, 0.5]), TABLE, None if silent is None else np.array(silent))
    scores = TABLE[np.arange(3), VOTES.matrix].sum(axis=1)
    probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    if silent is not None:
        probs[3] = silent
    nothing = np.full(4, -1)
    return build_labels(
        VOTES, probs, VOTES.covered, nothing, method="m", model="f", scoring=scoring
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_contributions_add_up_to_the_probabilities(seed: int, abstention: bool) -> None:
    rng = np.random.default_rng(seed)
    votes = Votes.from_matrix(rng.integers(-1, 3, (30, 4)), classes=3)
    gold = {row: int(rng.integers(0, 3)) for row in range(22)}
    labels = LabelModel(3, abstention=abstention).fit(votes, gold).predict(votes, gold={})
    assert labels.scoring is not None
    row = int(np.flatnonzero(votes.covered)[0])
    told = labels.explain(row)
    total = np.array(labels.scoring.log_prior)
    total = total + np.sum([each.scores for each in told.evidence], axis=0)
    probs = np.exp(total) / np.exp(total).sum()
    np.testing.assert_allclose(probs, list(told.probs.values()), rtol=1e-9)
    odds = told.prior_log_odds + sum(each.log_odds or 0.0 for each in told.evidence)  # type: ignore[operator]
    assert odds == pytest.approx(np.log(told.probs[told.best] / told.probs[told.runner_up]))


def test_votes_states_and_order() -> None:
    told = labels().explain(1)
    assert (told.label, told.source, told.best, told.runner_up) == ("ham", "model", "ham", "spam")
    assert [each.source for each in told.evidence] == ["prize", "short", "shouts"]
    assert [each.log_odds for each in told.evidence] == [-1.0, 0.75, 0.5]
    prize = told.evidence[0]
    assert (prize.vote, prize.state, prize.scores) == ("spam", "voted", (0.0, 1.0))
    assert prize.fingerprint == VOTES.fingerprints[1]


def test_the_text() -> None:
    assert str(labels().explain(0)).splitlines() == [
        "row 0: spam (from model, weight 0.91; ham 0.047, spam 0.953)",
        "  +0.00  prior, spam against ham",
        "  +2.00  shouts: spam",
        "  +1.00  prize: spam",
    ]


def test_silence_is_a_sum_where_the_model_does_not_say_otherwise() -> None:
    assert str(labels().explain(3)).splitlines() == [
        "row 3: no label (from none, weight 0.00; ham 0.438, spam 0.562)",
        "  +0.00  prior, spam against ham",
        "  +0.25  prize: abstained",
    ]


def test_silence_that_a_model_reads_differently() -> None:
    told = labels(silent=[0.8, 0.2]).explain(3)
    assert told.model_probs == pytest.approx({"ham": 0.8, "spam": 0.2})
    assert told.prior_log_odds == pytest.approx(np.log(4))
    assert {(each.log_odds, each.scores) for each in told.evidence} == {(None, None)}
    assert str(told).splitlines() == [
        "row 3: no label (from none, weight 0.00; ham 0.800, spam 0.200)",
        "  +1.39  no source votes, ham against spam",
    ]
    assert labels(silent=[0.8, 0.2]).explain(1) == labels().explain(1)


def test_gold_overrides_and_says_so() -> None:
    labels = LabelModel(VOTES.classes).fit(VOTES, {0: "ham"}).predict(VOTES)
    told = labels.explain(0)
    assert (told.label, told.source, told.probs) == ("ham", "gold", {"ham": 1.0, "spam": 0.0})
    assert told.model_probs["ham"] < 1
    assert "  an expert's label; the votes below did not decide it" in str(told)


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(LabelError, match=r"^no row with id 99 among 4 rows$"):
        labels().explain(99)
