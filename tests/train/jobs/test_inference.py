"""Answers of models that do not fit beside those of the module in memory."""

from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest
import torch

from gristmill.core.errors import TrainError, UsageError
from gristmill.core.progress import LineReporter, reporting
from gristmill.train.draws import seeded
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.jobs.inference import Inference
from gristmill.train.workers.death import WorkerLostError
from gristmill.train.workers.machine import find_devices

ROWS = np.random.default_rng(0).normal(size=(45, 8)).astype("float32")


class Crashing(Arrays):
    """Rows that end the process that reads them."""

    def take(self, rows):
        os.kill(os.getpid(), signal.SIGSEGV)
        return super().take(rows)


def expected(module, batch_size):
    with torch.no_grad():
        return [
            module(torch.from_numpy(ROWS[at : at + batch_size].copy()))
            for at in range(0, len(ROWS), batch_size)
        ]


def same(found, wanted):
    return len(found) == len(wanted) and all(map(torch.equal, found, wanted))


def least(plan, shards=3):
    sizes = sorted(
        each.nbytes.get("weights", 0) + each.nbytes.get("buffers", 0) for each in plan.shards
    )
    return sum(sizes[-shards:])


def open_up(plan, folder, devices, memory, **more):
    return Inference(plan, folder, devices=find_devices(f"cpu:{devices}"), memory=memory, **more)


@pytest.mark.parametrize("model", ["skips", "tied"])
@pytest.mark.parametrize(("devices", "roomy"), [(1, True), (1, False), (2, False)])
def test_first_weights_are_made_as_they_are_needed(trials, tmp_path, model, devices, roomy):
    spec = trials.trial(model, seed=3)
    cuts = range(1, len(trials.graph_of(model).layers))
    plan, _ = trials.planned(spec, model, tuple(cuts))
    memory = 1 << 20 if roomy else devices * least(plan)
    module = seeded(spec.build, 3).eval()
    with open_up(plan, tmp_path, devices, memory) as inference:
        assert inference.step is None
        for batch_size, at_once in ((10, 2), (45, 1), (7, 3)):
            found = inference.predict(Arrays(ROWS), batch_size=batch_size, batches_at_once=at_once)
            assert same(list(found), expected(module, batch_size))


def test_a_trained_model_answers_from_its_last_commit(trials, start, tmp_path):
    spec = trials.trial(steps=3, micro_batches=2)
    plan, shape = trials.planned(spec, cuts=(1, 3))
    run = start(name="run")
    run.add(0, plan, shape)
    run.run()
    module = spec.build()
    module.load_state_dict(run.state_dict(0))
    run.close()
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*-weights-*")}
    with open_up(plan, tmp_path / "run", 1, least(plan, 2)) as inference:
        assert inference.step == 3
        assert same(list(inference.predict(Arrays(ROWS))), expected(module.eval(), 64))
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*-weights-*")} == before


def test_a_prediction_may_be_left_in_the_middle(trials, tmp_path):
    spec = trials.trial("tied")
    plan, _ = trials.planned(spec, "tied", (2,))
    with open_up(plan, tmp_path, 1, 1 << 20) as inference:
        first = inference.predict(Arrays(ROWS), batch_size=5, batches_at_once=1)
        wanted = expected(seeded(spec.build, 0).eval(), 5)
        assert torch.equal(next(first), wanted[0])
        with pytest.raises(UsageError, match="another prediction is under way"):
            next(inference.predict(Arrays(ROWS)))
        first.close()
        assert same(list(inference.predict(Arrays(ROWS), batch_size=5)), wanted)


def test_what_a_model_raises_is_told_and_ends_nothing(trials, tmp_path):
    plan, _ = trials.planned(trials.trial("tied"), "tied", (2,))
    with open_up(plan, tmp_path, 1, 1 << 20) as inference:
        with pytest.raises(TrainError, match="device 0, shard 0: "):
            list(inference.predict(Arrays(ROWS[:, :5])))
        assert len(list(inference.predict(Arrays(ROWS)))) == 1
        with pytest.raises(UsageError, match="batches_at_once must be at least 1, found 0"):
            next(inference.predict(Arrays(ROWS), batches_at_once=0))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_worker_that_is_killed_is_replaced(trials, tmp_path, devices, capsys):
    spec = trials.trial("skips")
    plan, _ = trials.planned(spec, cuts=(1, 3, 5))
    wanted = expected(seeded(spec.build, 0).eval(), 2)
    with (
        reporting(LineReporter()),
        open_up(plan, tmp_path, devices, devices * least(plan)) as inference,
    ):
        found = []
        for number, each in enumerate(inference.predict(Arrays(ROWS), batch_size=2)):
            found.append(each)
            if number % 5 == 0:
                trials.kill(inference._crew.workers[number % devices])
        trials.kill(inference._crew.workers[0])
        assert same(found, wanted)
        assert same(list(inference.predict(Arrays(ROWS), batch_size=2)), wanted)
    said = capsys.readouterr().err
    assert re.search(r"^device 0: worker \d.*was killed \(SIGKILL\)$", said, re.MULTILINE)


def test_rows_that_crash_the_worker_end_the_prediction(trials, tmp_path):
    plan, _ = trials.planned(trials.trial("tied"), "tied", (2,))
    with open_up(plan, tmp_path, 1, 1 << 20) as inference:
        with pytest.raises(WorkerLostError, match=r"crashed in native code \(SIGSEGV\)"):
            list(inference.predict(Crashing(ROWS)))
        assert len(list(inference.predict(Arrays(ROWS)))) == 1
