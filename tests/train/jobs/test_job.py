"""A job from its plan to its answers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from tests.train.plain_models import deep

from gristmill.core.errors import TrainError
from gristmill.core.progress import LineReporter, reporting
from gristmill.train.jobs.job import TrainingJob, job
from gristmill.train.jobs.reference import plain_loop
from gristmill.train.jobs.resources import Resources
from gristmill.train.jobs.training_run import TrainingRun

DRAWS = np.random.default_rng(0)
INPUTS = DRAWS.normal(size=(96, 8)).astype(np.float32)
CLASSES = (INPUTS[:, 0] > 0).astype(np.int64)


def ready(folder, **more):
    settings = {"epochs": 2, "batch_size": 32, "micro_batches": 2, "devices": 1} | more
    return job(deep, (INPUTS, CLASSES), loss="cross_entropy", folder=folder, **settings)


@pytest.fixture(scope="module")
def spilled(tmp_path_factory):
    found = ready(
        tmp_path_factory.mktemp("run"),
        memory="800KB",
        validation=(INPUTS[:40], CLASSES[:40]),
        metric="accuracy",
    )
    return found.run()


def test_the_plan_says_where_everything_lies_and_then_what_came(spilled, tmp_path):
    fresh = ready(tmp_path, memory="800KB")
    assert repr(fresh) == f"<TrainingJob of 1 model, 6 steps, in {tmp_path}>"
    plan = fresh.explain().splitlines()
    assert plan[0] == "1 model on 1 device (cpu:0), 800 KB"
    assert plan[1] == "model: cut by sequential (it is a sequence of modules)"
    assert "move" in plan[2]
    assert [line.split(":")[0] for line in plan[-3:]] == ["predicted", "predicted bytes", "bounds"]
    after = spilled.explain().splitlines()
    assert [line.split(":")[0] for line in after[-2:]] == ["actual", "actual bytes"]
    assert "0 B read from disk" not in after[-1]


def test_a_spilled_model_is_that_of_the_plain_loop(spilled):
    wanted = plain_loop(spilled.trials[0]).state_dict()
    found = spilled.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_what_came_of_it(spilled):
    (model,) = spilled.describe()["models"]
    trained = spilled.trained()
    assert (model["steps"], model["failed"]) == (6, None)
    assert model["loss"] == spilled.losses()[5] == trained.losses[5]
    assert model["metrics"] == trained.metrics
    module = trained.module()
    with torch.no_grad():
        guesses = module(torch.from_numpy(INPUTS[:40])).argmax(dim=1)
    right = (guesses == torch.from_numpy(CLASSES[:40])).double().mean().item()
    assert trained.metrics["accuracy"] == pytest.approx(right)


def test_it_answers_within_its_memory(spilled):
    answers = list(spilled.predict({"inputs": INPUTS}, batch_size=20))
    module = spilled.module()
    with torch.no_grad():
        wanted = [module(torch.from_numpy(INPUTS[at : at + 20].copy())) for at in range(0, 96, 20)]
    assert all(map(torch.equal, answers, wanted))


def test_run_again_it_has_nothing_to_do_and_with_more_epochs_it_goes_on(tmp_path):
    ready(tmp_path, memory="50MB").run()
    again = ready(tmp_path, memory="50MB").run()
    assert again.timeline.tasks == 0
    more = ready(tmp_path, memory="50MB", epochs=3).run()
    assert len(more.losses()) == 9
    wanted = plain_loop(more.trials[0]).state_dict()
    assert all(torch.equal(more.state_dict()[name], wanted[name]) for name in wanted)


def test_progress_tells_steps_and_losses(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gristmill.core.progress._SECONDS_BETWEEN_LINES", 0.0)
    with reporting(LineReporter()):
        ready(tmp_path, memory="800KB").run()
    told = capsys.readouterr().err
    assert "training: 1 of 6 steps" in told
    assert "model 0 loss " in told


def test_partitions_stay_with_devices(tmp_path):
    found = ready(tmp_path, partitions=3, batch_size=16, devices=2, micro_batches=1).run()
    wanted = plain_loop(found.trials[0]).state_dict()
    assert all(torch.equal(each, wanted[name]) for name, each in found.state_dict().items())
    feed = found.trials[0].feed
    for each in found.timeline:
        assert each.device == feed.visit_of(each.task.step).partition % 2


def test_ctrl_c_says_what_is_safe(tmp_path, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "run", interrupted)
        with pytest.raises(KeyboardInterrupt) as stopped:
            ready(tmp_path).run()
    assert str(stopped.value) == (
        f"0 of 6 steps are safe in {tmp_path}: run the same again to go on from there"
    )
    assert ready(tmp_path).run().describe()["models"][0]["steps"] == 6


class View(LineReporter):
    """Keeps what is shown below the work."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def start(self, title, total, unit):
        work = super().start(title, total, unit)
        work.show = self.seen.append
        return work


def test_a_view_of_devices_and_models(tmp_path, monkeypatch):
    monkeypatch.setattr("gristmill.train.jobs.training_progress._SECONDS_BETWEEN_VIEWS", 0.0)
    view = View()
    with reporting(view):
        ready(tmp_path, memory="800KB").run()
    assert all(re.fullmatch(r"cpu:0( +\d+%)?( +model 0)?", each[0]) for each in view.seen)
    assert re.fullmatch(r"model 0  step 1 of 6  loss 0\.\d{4}", view.seen[0][1])
    assert len(view.seen[-1]) == 1  # it has ended


def test_before_a_run_there_is_nothing(tmp_path):
    found = ready(tmp_path, memory="50MB")
    for ask in (found.state_dict, found.trained, found.module, lambda: list(found.predict(INPUTS))):
        with pytest.raises(TrainError, match="trial 0 was not trained"):
            ask()
    with pytest.raises(TrainError, match="no model was trained"):
        found.save(tmp_path / "out")


def test_several_models_and_one_that_fails(tmp_path):
    good = ready(tmp_path / "a", memory="50MB").trials[0]
    bad = ready(tmp_path / "b", memory="50MB", optimizer="sgd", lr=1e30).trials[0]
    both = TrainingJob([good, bad], Resources(tmp_path / "both", 2, "50MB")).run()
    assert list(both.failures) == [1]
    assert "the loss is" in both.failures[1]
    with pytest.raises(TrainError, match="trial 1 failed: "):
        both.trained(1)
    assert [file.name for file in both.save(tmp_path / "out")] == ["model-0.safetensors"]
    assert both.describe()["models"][1]["failed"] == both.failures[1]
