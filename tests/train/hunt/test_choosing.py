from __future__ import annotations

import re

import pytest
from optuna.pruners import PercentilePruner

from gristmill.core.errors import UsageError
from gristmill.train.hunt.choosing import NAMES, rules_of


@pytest.mark.parametrize(
    ("pruner", "kind"),
    [
        (None, "none"),
        ("median", "MedianPruner"),
        ("halving", "halving"),
        ("asha", "asha"),
        ("hyperband", "hyperband"),
        ("population", "population"),
        (PercentilePruner(30.0), "PercentilePruner"),
    ],
)
def test_every_name_makes_its_controller(pruner, kind):
    controller = rules_of(pruner, 9)(5)
    assert controller.rules["kind"] == kind
    assert (controller.most, controller.trials) == (9, 5)


def test_settings_get_there():
    assert rules_of("halving", 16, least=2, eta=2)(4).rules == {
        "kind": "halving", "least": 2, "most": 16, "eta": 2,
    }  # fmt: skip
    assert rules_of("hyperband", 16)(4).rules["eta"] == 3
    found = rules_of("population", 16, every=4, seed=7)(4).rules
    assert (found["every"], found["seed"]) == (4, 7)


def test_nonsense_is_refused():
    with pytest.raises(
        UsageError, match=f"^unknown pruner 'axe', expected one of {re.escape(str(NAMES))}$"
    ):
        rules_of("axe", 4)
    with pytest.raises(UsageError, match=r"^expected a budget of at least 1, found 0$"):
        rules_of(None, 0)
