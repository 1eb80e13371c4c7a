from __future__ import annotations

import contextlib
import math
import re
from functools import partial

import pytest
from msgspec.structs import replace

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.hunt.controller import Resume, Start
from gristmill.train.hunt.halving import halving
from gristmill.train.hunt.hunt import JOURNAL, Hunt
from gristmill.train.hunt.population import Population
from gristmill.train.hunt.pruned import Pruned
from gristmill.train.hunt.record import Failed, Issued, Reported, Wanted
from gristmill.train.hunt.simulated import simulate
from gristmill.train.space import Space, log_uniform

LR = Space(lr=log_uniform(1e-4, 1.0))


def fed(hunt, events):
    """Do again what was done in another hunt, from here on."""
    for event in events:
        match event:
            case Issued(free):
                hunt.next(free + len(hunt._interrupted))
            case Reported(trial, budget, value, _, seconds, metrics):
                hunt.report(trial, budget, value, seconds=seconds, metrics=metrics)
            case Failed(trial, reason, seconds):
                hunt.failed(trial, reason, seconds=seconds)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_killed_after_any_event_it_decides_the_same(rules, sampler, hunted, tmp_path):
    options = {"sampler": sampler, "vary": ["lr"], "of": "data"}
    whole = hunted(rules, devices=3, failing=0.03, uneven=True, folder=tmp_path, **options)
    whole.close()
    path = tmp_path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines) + 1):
        path.write_bytes(b"".join(lines[:kept]) + b"1234 torn"[: kept % 10])
        with Hunt(rules, 9, whole.space, folder=tmp_path, **options) as again:
            fed(again, whole.record.events[max(1, kept - 1) :])
        assert again.record.events == whole.record.events, kept
        assert again.ledger.trials == whole.ledger.trials
        assert again.finished
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("last", range(0, 60, 7))
def test_killed_and_conducted_again_ends_the_same(
    synchronous, hunted, curves, reached, tmp_path, last
):
    options = {"sampler": "random", "vary": ["lr"], "folder": tmp_path}
    whole = hunted(synchronous, devices=2, sampler="random", vary=["lr"])
    lost, seen = curves(9, whole.ledger.most), []

    def dying(trial, budget):
        seen.append(trial)
        if len(seen) == last:
            raise KeyboardInterrupt
        return lost(trial, budget)

    first = Hunt(synchronous, 9, whole.space, **options)
    with contextlib.suppress(KeyboardInterrupt):
        simulate(first, dying, lambda *_: 1.0, 2)
    first.close()
    with Hunt(synchronous, 9, whole.space, **options) as again:
        simulate(again, lost, lambda *_: 1.0, 3)
    assert reached(again) == reached(whole)
    assert [each.drawn for each in again.ledger.trials] == [
        each.drawn for each in whole.ledger.trials
    ]


def test_devices_and_speed_do_not_matter_to_synchronous_rules(synchronous, hunted, reached):
    one = hunted(synchronous, sampler="random", failing=0.02)
    many = hunted(synchronous, sampler="random", failing=0.02, devices=4, uneven=True)
    assert reached(one) == reached(many)
    assert [each.drawn for each in one.ledger.trials] == [each.drawn for each in many.ledger.trials]


def test_a_hunt_is_extended(growing, hunted, curves, tmp_path):
    rules = growing
    hunted(rules, folder=tmp_path).close()
    for _ in range(2):
        with Hunt(rules, 12, hunted(rules).space, folder=tmp_path) as more:
            simulate(more, curves(12, more.ledger.most), lambda *_: 1.0, 2)
        assert more.record.events.count(Wanted(12)) == 1
        assert len(more.ledger.trials) == 12
        assert more.finished
        assert more.ledger.count("pending") == more.ledger.count("running") == 0
    with pytest.raises(UsageError, match=r"^expected 12 trials or more, as were planned, found 9"):
        Hunt(rules, 9, hunted(rules).space, folder=tmp_path)


def test_a_hunt_is_extended_before_its_end(tmp_path):
    rules = partial(halving, most=2, eta=2)
    with Hunt(rules, 2, LR, folder=tmp_path) as hunt:
        hunt.next(2)
        hunt.report(0, 1, 0.5)
    with Hunt(rules, 3, LR, folder=tmp_path) as hunt:
        assert hunt.next(5) == [Start(1, 1), Start(2, 2)]


def test_what_was_interrupted_comes_first(tmp_path):
    rules = partial(Pruned, most=3)
    with Hunt(rules, 5, LR, folder=tmp_path) as hunt:
        hunt.next(3)
        hunt.report(1, 1, 0.5)
        hunt.report(1, 2, 0.5)
        hunt.report(2, 3, 0.5)
    with Hunt(rules, 5, LR, folder=tmp_path) as hunt:
        assert not hunt.finished
        assert hunt.next(1) == [Start(0, 3)]
        assert hunt.next(2) == [Resume(1, 3, at=2), Start(3, 3)]
        assert hunt.report(1, 1, 0.9) == "continue"  # put back to an older state
        assert hunt.report(1, 2, 0.9) == "continue"
        assert hunt.ledger.trials[1].curve == {1: 0.5, 2: 0.5}
        assert hunt.report(1, 3, 0.9) == "stop"


def test_an_interrupted_copy_is_made_before_its_source_goes_on(tmp_path):
    rules = partial(Population, most=3, share=0.4)
    hunt = Hunt(rules, 3, LR, folder=tmp_path, sampler="random", vary=["lr"])
    hunt.next(3)
    for trial in range(3):
        hunt.report(trial, 1, -float(trial))
    copy = Resume(2, 2, at=1, source=0, copies=1)
    told = hunt.next(2)
    assert told == [copy, Resume(0, 2, at=1)]
    lr = hunt.settings(2)
    hunt.close()
    with Hunt(rules, 3, LR, folder=tmp_path, sampler="random", vary=["lr"]) as hunt:
        assert hunt.settings(2) == lr
        assert hunt.next(2) == told
        hunt.report(2, 2, 0.5)
    with Hunt(rules, 3, LR, folder=tmp_path, sampler="random", vary=["lr"]) as hunt:
        assert hunt.next(9) == [Resume(0, 2, at=1), Resume(1, 2, at=1)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_failure(value):
    hunt = Hunt(partial(halving, most=2, eta=2), 2, LR)
    hunt.next(2)
    assert hunt.report(0, 1, value, seconds=1.0) == "stop"
    assert hunt.ledger.trials[0].state == "failed"
    assert hunt.ledger.trials[0].why == f"the compared value is {value} at budget 1"
    assert hunt.report(1, 1, 0.5) == "pause"
    assert hunt.next(2) == [Resume(1, 2, at=1)]
    assert hunt.report(1, 2, 0.5, metrics={"loss": math.nan, "f1": 0.5}) == "stop"
    assert hunt.ledger.trials[1].metrics == {2: {"f1": 0.5}}
    assert hunt.best.number == 1


def test_all_trials_fail(rules):
    hunt = Hunt(rules, 4, LR)
    while not hunt.finished:
        for each in hunt.next(2):
            hunt.failed(each.trial, "MemoryError: ")
    assert hunt.ledger.count("failed") == 4
    message = "none of 4 trials is complete; the first that failed: MemoryError: "
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        _ = hunt.best


def test_smaller_is_better_mirrors_larger(rules, curves):
    value = curves(9, 9)
    hunts = []
    for sign in (1, -1):
        hunt = Hunt(rules, 9, LR, sampler="random", maximise=sign == 1)
        simulate(hunt, lambda *at, sign=sign: sign * value(*at), lambda *_: 1.0, 2)
        hunts.append(hunt)
    one, other = ([(each.trained, each.state) for each in hunt.ledger.trials] for hunt in hunts)
    assert one == other
    assert hunts[0].best.number == hunts[1].best.number


def test_watchers_hear_of_new_events_only(tmp_path):
    heard = []
    watch = lambda event, ledger: heard.append((event, ledger.trained))  # noqa: E731
    rules = partial(Pruned, most=1)
    with Hunt(rules, 2, LR, folder=tmp_path, watch=watch) as hunt:
        hunt.next(1)
        hunt.report(0, 1, 0.5)
        assert heard == [(hunt.record.events[1], 0), (hunt.record.events[2], 1)]
    heard.clear()
    with Hunt(rules, 2, LR, folder=tmp_path, watch=watch) as hunt:
        hunt.next(1)
    assert heard == [(hunt.record.events[3], 1)]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"maximise": False},
        {"sampler": "random"},
        {"vary": ["lr"]},
        {"of": "other data"},
        {"space": Space(lr=log_uniform(1e-4, 2.0))},
        {"rules": partial(halving, most=8)},
        {"rules": partial(halving, most=4, eta=2)},
        {"rules": partial(Pruned, most=4)},
    ],
)
def test_another_search_is_refused(other, tmp_path):
    same = {"rules": partial(halving, most=4), "trials": 4, "space": LR, "of": "data"}
    Hunt(**same, folder=tmp_path).close()
    Hunt(**same, folder=tmp_path).close()
    with pytest.raises(TrainError, match="the folder holds another search"):
        Hunt(**same | other, folder=tmp_path)
    Hunt(**same, folder=tmp_path).close()  # the refusal let go of the file


def test_other_decisions_are_refused(tmp_path):
    class Hasty(Pruned):
        def report(self, trial, budget, score):
            return super().report(trial, self.most, score)

    with Hunt(partial(Hasty, most=4), 4, LR, folder=tmp_path) as hunt:
        hunt.next(2)
        hunt.report(0, 1, 0.5)
    message = (
        f"{tmp_path / JOURNAL}, line 4: the search has other rules now: it answers continue, "
        "but answered stop\n"
        "  fix: go on with the version of Gristmill that began it, or begin another search"
    )
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Hunt(partial(Pruned, most=4), 4, LR, folder=tmp_path)


def test_an_impossible_journal_is_refused(tmp_path):
    rules = partial(Pruned, most=4)
    with Hunt(rules, 4, LR, folder=tmp_path) as hunt:
        hunt.record.add(Reported(3, 1, 0.5, "continue"))
    message = f"{tmp_path / JOURNAL}, line 3: trial 3 does not run, but reports budget 1"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Hunt(rules, 4, LR, folder=tmp_path)


def test_nonsense_is_refused():
    with pytest.raises(UsageError, match=r"^'batch' cannot vary: the space has \['lr'\]$"):
        Hunt(partial(Pruned, most=1), 1, LR, vary=["batch"])
    with pytest.raises(UsageError, match=r"^the grid has 2 combinations, found 3 trials"):
        Hunt(partial(Pruned, most=1), 3, Space(a=[1, 2]), sampler="grid")
    hunt = Hunt(partial(Pruned, most=1), 1, LR)
    with pytest.raises(TrainError, match=r"^there is no trial 1, only 1$"):
        hunt.report(1, 1, 0.5)
    with pytest.raises(TrainError, match=r"^trial 0 does not run, but reports budget 1$"):
        hunt.report(0, 1, 0.5)


def test_trials_are_values():
    hunt = Hunt(partial(Pruned, most=1), 1, LR)
    before = replace(hunt.ledger.trials[0])
    hunt.next(1)
    assert before.state == "pending"
