from __future__ import annotations

import threading
import time

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.hunt.planned_aside import PlannedAside


def test_plans_come_in_order_and_nobody_waits_for_them():
    go = threading.Event()

    def slow():
        go.wait(60)
        return "first"

    with PlannedAside() as plans:
        plans.want(3, slow)
        plans.want(1, lambda: "second")
        assert list(plans.ready(wait_for_one=False)) == []
        assert plans.trials == {1, 3}
        go.set()
        found = []
        while plans.trials:
            found += [(trial, plan.result()) for trial, plan in plans.ready(wait_for_one=True)]
    assert found == [(3, "first"), (1, "second")]


def test_what_a_plan_raises_comes_out_with_it():
    def fails():
        raise TrainError("too wide")

    with PlannedAside() as plans:
        plans.want(0, fails)
        ((trial, plan),) = plans.ready(wait_for_one=True)
        assert trial == 0
        with pytest.raises(TrainError, match="too wide"):
            plan.result()
        assert list(plans.ready(wait_for_one=True)) == []


def test_closing_drops_what_has_not_begun():
    begun, go = threading.Event(), threading.Event()
    made = []

    def slow():
        begun.set()
        go.wait(60)
        made.append(0)

    plans = PlannedAside()
    plans.want(0, slow)
    plans.want(1, lambda: made.append(1))
    assert begun.wait(60)
    (second,) = [plan for plan, trial in plans._wanted.items() if trial == 1]

    def let_go():
        while not second.cancelled():
            time.sleep(0.001)
        go.set()

    threading.Thread(target=let_go, daemon=True).start()
    plans.close()
    assert made == [0]
