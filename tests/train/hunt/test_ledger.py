from __future__ import annotations

import re

import polars as pl
import pytest

from gristmill.core.errors import TrainError
from gristmill.train.hunt.controller import Resume, Start, Stop
from gristmill.train.hunt.ledger import Ledger
from gristmill.train.hunt.record import Failed, Issued, Reported, Wanted
from gristmill.train.space import Space, uniform

SPACE = Space(lr=uniform(0, 1), kind=["a", ("b", "c")])


@pytest.fixture
def ledger():
    """Trial 0 complete, 1 stopped, 2 failed, 3 paused, 4 running, 5 pending."""
    ledger = Ledger(4, maximise=True, values=SPACE.values)
    drawn = {trial: {"lr": trial / 8, "kind": trial % 2} for trial in range(5)}
    for event in (
        Wanted(4),
        Issued(5, [Start(trial, 2) for trial in range(4)], {k: drawn[k] for k in range(4)}),
        Reported(0, 1, 0.5, "continue", 1.0, {"loss": 2.0}),
        Reported(0, 2, 0.75, "pause", 1.0, {"loss": 1.0}),
        Reported(1, 2, 0.25, "pause", 2.0),
        Failed(2, "ValueError: too wide\nsecond line", 0.5),
        Reported(3, 2, 0.5, "pause", 2.0),
        Wanted(6),
        Issued(3, [Resume(0, 4, 2), Stop(1, "number 3 of 3"), Start(4, 2)], {4: drawn[4]}),
        Reported(0, 4, 0.7, "stop", 2.0),
    ):
        ledger.apply(event)
    return ledger


def test_states(ledger):
    assert [each.state for each in ledger.trials] == [
        "complete", "stopped", "failed", "paused", "running", "pending",
    ]  # fmt: skip
    assert [each.trained for each in ledger.trials] == [4, 2, 0, 2, 0, 0]
    assert ledger.trained == 8
    assert ledger.count("paused") == 1


def test_table(ledger):
    table = ledger.table()
    assert table.columns == [
        "number", "state", "value", "best_budget", "last", "peak", "peak_budget", "budget",
        "trained", "seconds", "why", "source", "lr", "kind",
    ]  # fmt: skip
    assert table["value"].to_list() == [0.75, 0.25, None, 0.5, None, None]
    assert table["best_budget"].to_list() == [2, 2, None, 2, None, None]
    assert table["last"].to_list() == [0.7, 0.25, None, 0.5, None, None]
    assert table["seconds"].to_list() == [4.0, 2.0, 0.5, 2.0, 0.0, 0.0]
    assert table["lr"].to_list() == [0.0, 0.125, 0.25, 0.375, 0.5, None]
    assert table["kind"].to_list() == ["a", "('b', 'c')", "a", "('b', 'c')", "a", None]
    assert table["why"][1:3].to_list() == ["number 3 of 3", "ValueError: too wide\nsecond line"]


def test_ranked_by_its_last_value_a_trial_still_tells_its_best():
    ledger = Ledger(4, maximise=True, judged="last")
    ledger.apply(Wanted(2))
    ledger.apply(Issued(2, [Start(0, 4), Start(1, 4)], {0: {"lr": 0.1}, 1: {"lr": 0.2}}))
    for trial, values in enumerate(([0.75, 0.7], [0.5, 0.72])):
        for budget, value in zip((2, 4), values, strict=True):
            decision = "stop" if budget == 4 else "continue"
            ledger.apply(Reported(trial, budget, value, decision, 1.0, {}, ""))
    assert ledger.best.number == 1
    assert [ledger.told(number) for number in (0, 1)] == [
        "complete, 0.7 at 4 of 4, had 0.75 at 2", "complete, 0.72 at 4 of 4"
    ]  # fmt: skip
    table = ledger.table()
    assert table.select("value", "best_budget", "peak", "peak_budget").rows() == [
        (0.7, 4, 0.75, 2), (0.72, 4, 0.72, 4)
    ]  # fmt: skip


def test_curves(ledger):
    expected = pl.DataFrame(
        {
            "number": [0, 0, 0, 1, 3],
            "budget": [1, 2, 4, 2, 2],
            "value": [0.5, 0.75, 0.7, 0.25, 0.5],
            "loss": [2.0, 1.0, None, None, None],
        }
    )
    assert ledger.curves().equals(expected)
    assert Ledger(4, maximise=True).curves().columns == ["number", "budget", "value"]


def test_ranking_and_best(ledger):
    assert [each.number for each in ledger.ranking()] == [0, 3, 1, 2, 4, 5]
    assert ledger.best.number == 0
    assert ledger.settings(1) == {"lr": 0.125, "kind": ("b", "c")}
    assert ledger.settings(5) == {}


@pytest.mark.parametrize(("maximise", "best", "peak"), [(True, 1, (2, 0.9)), (False, 0, (1, 0.1))])
def test_direction_and_ties(maximise, best, peak):
    ledger = Ledger(3, maximise=maximise)
    ledger.apply(Wanted(3))
    ledger.apply(Issued(3, [Start(trial, 3) for trial in range(3)]))
    for trial, values in enumerate([(0.1, 0.1, 0.5), (0.2, 0.9, 0.9), (0.1, 0.9, 0.2)]):
        for budget, value in enumerate(values, start=1):
            decision = "stop" if budget == 3 else "continue"
            ledger.apply(Reported(trial, budget, value, decision))
    assert ledger.best.number == best
    assert ledger.peak(best) == peak


def test_a_copy_goes_on_from_the_others_curve(ledger):
    ledger.apply(Issued(1, [Resume(3, 4, at=2, source=0, copies=1)], {3: {"lr": 0.1, "kind": 0}}))
    taken = ledger.trials[3]
    assert (taken.source, taken.copies, taken.copied_at) == (0, 1, 2)
    assert taken.curve == ledger.trials[0].curve
    assert taken.drawn == {"lr": 0.1, "kind": 0}
    ledger.trials[0].curve.clear()
    assert taken.curve


def test_in_words(ledger):
    assert ledger.leaderboard(4).splitlines() == [
        "  1. trial 0: complete, 0.75 at 2 of 4  lr=0, kind=a",
        "  2. trial 3: paused, 0.5 at 2 of 2  lr=0.375, kind=('b', 'c')",
        "  3. trial 1: stopped, 0.25 at 2 of 2, number 3 of 3  lr=0.125, kind=('b', 'c')",
        "  4. trial 2: failed, ValueError: too wide  lr=0.25, kind=a",
    ]
    assert ledger.summary().splitlines() == [
        "6 trials: 1 pending, 1 running, 1 paused, 1 stopped, 1 failed, 1 complete",
        "trained 8 of 24 units of budget, 8.50 s on devices",
        "best: trial 0, complete, 0.75 at 2 of 4",
    ]
    assert Ledger(4, maximise=True).summary().startswith("0 trials: none\n")


def test_no_best_without_a_complete_trial():
    ledger = Ledger(4, maximise=True)
    ledger.apply(Wanted(2))
    with pytest.raises(TrainError, match=r"^none of 2 trials is complete$"):
        _ = ledger.best
    ledger.apply(Issued(1, [Start(1, 4)]))
    ledger.apply(Failed(1, "it broke"))
    message = "none of 2 trials is complete; the first that failed: it broke"
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        _ = ledger.best
