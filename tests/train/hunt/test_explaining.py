from __future__ import annotations

import math
from functools import partial

from gristmill.core.plan import Cost
from gristmill.train.hunt.explaining import plan_of
from gristmill.train.hunt.halving import halving
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.simulated import forecast, simulate
from gristmill.train.space import Space

RULES = partial(halving, most=4, eta=4)


def test_before_and_after():
    hunt = Hunt(RULES, 5, Space())
    expected = forecast(RULES, 5, 2, 3.0)
    before = plan_of(hunt.ledger, "search lr", 100, expected)
    assert str(before).splitlines()[:2] == [
        "search lr  run  800 rows, 18 s  (5 of 5 trials left; trains 8 of 20 epochs (40%): "
        "18 s on 2 devices, 67% busy, against 36 s for all in full)",
        "  trial 0  run",
    ]
    values = [0.5, math.nan, 0.25, 0.75, 0.125]
    simulate(hunt, lambda trial, at: values[trial], lambda *_: 3.0, 2)
    after = plan_of(hunt.ledger, "search lr", 100)
    assert (after.action, after.why) == ("done", "0 of 5 trials left")
    assert after.actual == Cost(rows=700, seconds=24.0)
    assert [child.action for child in after.children] == [
        "stopped", "failed", "stopped", "complete", "stopped",
    ]  # fmt: skip
    best = after.children[3]
    assert (best.why, best.actual) == ("complete, 0.75 at 1 of 4", Cost(rows=400, seconds=12.0))
