"""Searches on devices: exact models, whatever the rules, the memory and the interruptions."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from tests.train.plain_models import perceptron, picky

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.hunt.record import Reported
from gristmill.train.hunt.searching import search_on_devices
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.space import Space, log_uniform

WIDTHS = Space(lr=log_uniform(1e-4, 1e-1), width=[8, 16])


def rows(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    inputs = draws.normal(size=(count, 6)).astype(np.float32)
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def searched(folder, pruner="halving", space=WIDTHS, **more):
    settings = {"epochs": 4, "trials": 4, "batch_size": 24, "metric": "accuracy", "devices": 2}
    settings |= {"memory": "50MB"} | more
    return search_on_devices(
        perceptron, space, rows(), loss="cross_entropy", folder=folder, pruner=pruner, **settings
    )


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("pruner", ["halving", "median"])
def test_the_best_model_is_that_of_the_plain_loop(tmp_path, pruner):
    search = searched(tmp_path, pruner).run()
    best = search.best
    assert same(best.state_dict, plain_loop(search.spec(best.settings)).state_dict())
    top = search.trials.filter(state="complete").sort("value", descending=True).row(0, named=True)
    assert best.metrics["accuracy"] == top["value"] == top["last"]
    assert best.settings == search.best_params
    assert repr(search) == f"<Search of {WIDTHS!r}, in {tmp_path}>"
    assert best.module()(torch.zeros(3, 6)).shape == (3, 2)
    assert f"trial {top['number']}: complete" in search.leaderboard(1)
    assert search.curves.height == search.trials["trained"].sum()


def test_trials_visit_partitions_each_in_an_order_of_its_own(tmp_path):
    search = searched(tmp_path, None, partitions=4, batch_size=12).run()
    best, number = search.best, search.trials.filter(state="complete").sort("value")["number"][-1]
    orders = [
        tuple(each.partition for each in search.spec({}, trial).feed.visits(1))
        for trial in range(4)
    ]
    assert len(set(orders)) == 4
    assert same(best.state_dict, plain_loop(search.spec(best.settings, number)).state_dict())
    homes = {}
    for each in search.timeline:
        if each.task.kind == "step":
            spec = search.spec({}, each.task.trial)
            partition = spec.feed.visit_of(each.task.step).partition
            homes.setdefault(partition, set()).add(each.device)
    assert homes == {partition: {partition % 2} for partition in range(4)}


def test_a_model_that_cannot_be_made_fails_its_trial_only(tmp_path):
    search = search_on_devices(
        picky, Space(width=[8, 0]), rows(), loss="cross_entropy", folder=tmp_path, pruner=None,
        epochs=1, trials=2, sampler="grid", batch_size=24, devices=1, memory="50MB",
    ).run()  # fmt: skip
    assert sorted(search.trials["state"]) == ["complete", "failed"]
    (why,) = search.trials.filter(state="failed")["why"]
    assert "a width of 0 makes no sense" in why


def test_ctrl_c_says_what_is_safe(tmp_path):
    def interrupt(event, _):
        if isinstance(event, Reported):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        searched(tmp_path, watch=interrupt).run()
    assert re.fullmatch(
        f"1 epochs of [1-4] of 4 trials are safe in {re.escape(str(tmp_path))}: "
        "run the same again to go on from there",
        str(stopped.value),
    )
    assert searched(tmp_path).run().best


class _KilledError(Exception):
    pass


@pytest.mark.slow
def test_interrupted_after_any_report_it_ends_the_same(tmp_path):
    whole = searched(tmp_path / "whole").run()
    reports = whole.trials["trained"].sum()
    for last in range(1, reports, 5):
        left = [last]

        def end(event, ledger, left=left):
            left[0] -= isinstance(event, Reported)
            if not left[0]:
                raise _KilledError

        folder = tmp_path / str(last)
        with pytest.raises(_KilledError):
            searched(folder, watch=end).run()
        again = searched(folder).run()
        assert again.trials.drop("seconds").equals(whole.trials.drop("seconds")), last
        assert same(again.best.state_dict, whole.best.state_dict), last


def test_a_population_copies_what_is_durable(tmp_path):
    space = Space(lr=log_uniform(1e-5, 1e-1), width=8)
    search = searched(tmp_path, "population", space, vary=["lr"]).run()
    trials = search.trials
    assert set(trials["state"]) == {"complete"}
    copied = trials.filter(trials["source"].is_not_null())
    assert copied.height
    assert (copied["trained"] == 4).all()


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(tmp_path):
    space = Space(lr=[1e-2, 1e38], width=[8, 16])
    search = searched(tmp_path, None, space, sampler="grid", optimizer="sgd").run()
    states = dict(zip(search.trials["lr"], search.trials["state"], strict=True))
    assert states == {1e-2: "complete", 1e38: "failed"}
    failed = search.trials.filter(state="failed")["why"]
    assert all("the loss is" in why for why in failed)
    search.best.module()


def test_all_failed(tmp_path):
    with pytest.raises(TrainError, match="none of 2 trials is complete; the first that failed: "):
        searched(tmp_path, None, Space(lr=[1e38]), trials=2, optimizer="sgd").run()


def test_a_finished_search_is_not_run_again_and_grows(tmp_path):
    first = searched(tmp_path, None, trials=2).run().trials
    again = searched(tmp_path, None, trials=2).run()
    assert again.timeline is None
    assert again.trials.equals(first)
    more = searched(tmp_path, None, trials=3).run()
    assert more.trials.head(2).equals(first)


def test_explain_forecasts_and_then_tells(tmp_path):
    search = searched(tmp_path)
    plan = search.explain()
    assert (plan.action, len(plan.children)) == ("run", 4)
    assert "4 of 4 trials left; trains 7 of 16 epochs" in plan.why
    search.run()
    plan = search.explain()
    assert plan.action == "done"
    assert plan.actual.rows == 96 * search.trials["trained"].sum()
    assert {child.action for child in plan.children} == {"complete", "stopped"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"lr": 0.1}, "'lr' is both fixed and searched"),
        ({"vary": ["width"]}, "'width' cannot vary within a trial: its weights would not fit any"),
        ({"validation": 1.5}, "expected a fraction of 120 rows to hold out, found validation=1.5"),
        ({"metric": "f0"}, "unknown metric 'f0', expected one of loss, accuracy"),
        ({"pruner": "best"}, "unknown pruner 'best'"),
        ({"at_once": 0}, "at_once must be at least 1, found 0"),
        ({"trials": 0}, "trials must be at least 1, found 0"),
    ],
)
def test_wrong_calls(tmp_path, more, message):
    pruner = more.pop("pruner", "halving")
    with pytest.raises(UsageError) as raised:
        searched(tmp_path, pruner, **more).explain()
    assert message in str(raised.value)


def test_another_search_in_the_folder(tmp_path):
    searched(tmp_path, trials=2).explain()
    with pytest.raises(TrainError, match="another search"):
        searched(tmp_path, trials=2, metric="loss").explain()
