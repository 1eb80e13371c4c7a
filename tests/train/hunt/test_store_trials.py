from __future__ import annotations

import math
from functools import partial

import polars as pl
import pytest

from gristmill.store.project import Project
from gristmill.store.runs import RunLog
from gristmill.train.hunt.halving import halving
from gristmill.train.hunt.hunt import Hunt
from gristmill.train.hunt.simulated import simulate
from gristmill.train.hunt.store_trials import StoreTrials
from gristmill.train.space import Space


@pytest.fixture
def log(tmp_path):
    (tmp_path / "gristmill.toml").write_text('name = "spam"\n')
    with Project(tmp_path) as project:
        yield RunLog(project)


def test_every_trial_is_written_down_when_it_ends(log):
    run = log.start("search", {})
    space = Space(width=[8, 16, 32], kind=[("a", "b")])
    values = [0.5, math.nan, 0.25]
    watch = StoreTrials(log, run)
    with Hunt(partial(halving, most=4, eta=2), 3, space, sampler="grid", watch=watch) as hunt:
        simulate(hunt, lambda trial, at: values[trial] * at, lambda *_: 2.0, 1)
    found = {each.step: each for each in log.of_run(run)}
    assert [each.step for each in log.of_run(run)] == ["trial 1", "trial 0", "trial 2"]
    assert [found[f"trial {trial}"].status for trial in range(3)] == ["done", "failed", "stopped"]
    best = found["trial 0"]
    assert best.seconds == 8.0
    assert best.reach == {"params": {"width": hunt.settings(0)["width"], "kind": "('a', 'b')"}}
    curve = pl.DataFrame({"number": [0] * 4, "budget": [1, 2, 3, 4], "value": [0.5, 1.0, 1.5, 2.0]})
    assert log.load(best.output).equals(curve)
    assert found["trial 1"].output is None
    assert found["trial 1"].message == "the compared value is nan at budget 1"
    assert found["trial 2"].why == "stopped, 0.5 at 2 of 2, number 2 of 2 at budget 2, 1 went on"
