from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import HyperbandPruner, MedianPruner, PercentilePruner, SuccessiveHalvingPruner

from gristmill.core.errors import TrainError
from gristmill.train.hunt.controller import Start
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.pruned import Pruned
from gristmill.train.hunt.simulated import simulate
from gristmill.train.space import Space

PRUNERS = [
    lambda: MedianPruner(2, 1),
    lambda: PercentilePruner(25.0, 2),
    lambda: SuccessiveHalvingPruner(1, 2),
    lambda: HyperbandPruner(1, 6, 2),
    lambda: None,
]


def optunas_own(pruner, table):
    """Run Optuna's loop; return the curve and the state of every trial."""
    most = len(table[0])

    def objective(trial):
        for at in range(1, most + 1):
            trial.report(table[trial.number][at - 1], at)
            if at < most and trial.should_prune():
                raise optuna.TrialPruned
        return table[trial.number][-1]

    pruner = pruner or optuna.pruners.NopPruner()
    study = optuna.create_study(study_name="hunt", direction="maximize", pruner=pruner)
    study.optimize(objective, n_trials=len(table))
    states = {"PRUNED": "stopped", "COMPLETE": "complete"}
    return [(each.intermediate_values, states[each.state.name]) for each in study.trials]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PRUNERS), st.integers(1, 6), st.data())
def test_on_one_device_it_is_optunas_own_loop(pruner, most, data):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    row = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=most, max_size=most)
    table = data.draw(st.lists(row, min_size=1, max_size=10))
    hunt = Hunt(
        lambda trials: Pruned(trials, most, pruner()), len(table), Space(), sampler="random"
    )
    simulate(hunt, lambda trial, at: table[trial][at - 1], lambda *_: 1.0, 1)
    found = [(trial.curve, trial.state) for trial in hunt.ledger.trials]
    assert found == optunas_own(pruner(), table)


def test_a_pruner_of_the_users_own_is_not_changed():
    pruner = HyperbandPruner(1, 4, 2)
    before = dict(vars(pruner))
    for _ in range(2):
        controller = Pruned(1, 4, pruner)
        controller.next(1)
        controller.report(0, 1, 0.5)
    assert vars(pruner) == before


def test_why_and_failures():
    controller = Pruned(4, 3, MedianPruner(1, 0))
    assert controller.next(2) == [Start(0, 3), Start(1, 3)]
    assert controller.report(0, 3, 0.9) == "stop"
    assert controller.report(1, 1, 0.1) == "continue"  # nobody has shown anything at 1
    assert controller.next(3) == [Start(2, 3), Start(3, 3)]
    controller.failed(2, "out of memory")
    assert controller.report(1, 3, 0.2) == "stop"
    assert controller.report(3, 1, 0.0) == "stop"
    assert (controller.why(1), controller.why(3)) == ("", "behind the others at budget 1")
    assert controller.finished
    controller.extend(5)
    assert controller.next(9) == [Start(4, 3)]


def test_rules_tell_pruners_apart():
    rules = [Pruned(1, 4, pruner).rules for pruner in
             (None, MedianPruner(), MedianPruner(1), SuccessiveHalvingPruner())]  # fmt: skip
    assert rules[0] == {"kind": "none", "most": 4}
    assert all(rules.count(each) == 1 for each in rules)


def test_reports_that_cannot_be():
    controller = Pruned(2, 3)
    with pytest.raises(TrainError, match=r"^trial 0 does not run, but reports budget 1$"):
        controller.report(0, 1, 0.5)
