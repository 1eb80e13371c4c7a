from __future__ import annotations

import msgspec
import numpy as np

from gristmill.label.models.label_model import LabelModel
from gristmill.label.models.model_state import ModelState
from gristmill.label.votes import Votes

VOTES = Votes.from_matrix([[0, 1], [1, 1], [-1, 0]], names=["a", "b"])
STATE = LabelModel(2).fit(VOTES, {1: 1}).state


def test_it_survives_json_unchanged() -> None:
    assert msgspec.json.decode(msgspec.json.encode(STATE), type=ModelState) == STATE


def test_shapes() -> None:
    assert STATE.emission_logs.shape == (2, 3, 2)
    assert STATE.settings.share.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(np.exp(STATE.emission_logs).sum(axis=1), 1)


def test_columns_come_in_the_order_of_the_model() -> None:
    turned = Votes.from_matrix(VOTES.matrix[:, ::-1], names=["b", "a"])
    assert STATE.columns_of(turned).tolist() == VOTES.matrix.tolist()


def test_gold_is_of_the_fitted_votes_only() -> None:
    assert STATE.gold_of(VOTES).tolist() == [-1, 1, -1]
    other = Votes.from_matrix([[0, 1], [1, 0], [-1, 0]], names=["a", "b"])
    assert STATE.gold_of(other).tolist() == [-1, -1, -1]
