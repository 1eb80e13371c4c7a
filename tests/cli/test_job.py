from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from gristmill.cli.job import command
from gristmill.core.errors import TrainError
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

SOURCE = """
import numpy as np
from torch import nn
from gristmill import train

INPUTS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
DATA = INPUTS, (INPUTS[:, 0] > 0).astype(np.int64)
COMMON = {"loss": "cross_entropy", "batch_size": 15, "epochs": 2, "devices": 1, "memory": "50MB"}

def build(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))

def job():
    return train.job(build, DATA, validation=DATA, metric="accuracy", **COMMON)

def hopeless():
    return train.job(build, DATA, optimizer="sgd", lr=1e38, **COMMON)

def search():
    return train.search(build, train.Space(width=[2, 4]), DATA, trials=2, **COMMON)

number = 3
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small_job.py").write_text(SOURCE)

    def run(*arguments):
        return CliRunner().invoke(command, list(arguments))

    return run


def test_explain_trains_nothing(call, tmp_path):
    result = call("small_job.py", "--explain")
    assert result.output.startswith("1 model on 1 device (cpu:0), 50 MB\n")
    assert not (tmp_path / "out").exists()


def test_a_job_is_trained_saved_and_drawn(call, tmp_path):
    arguments = ("--save", "out", "--trace", "trace.json", "--gantt", "gantt.html", "--json")
    result = call("small_job.py", *arguments)
    found = json.loads(result.output)
    assert found["models"][0]["steps"] == 8
    assert set(found["models"][0]["metrics"]) == {"loss", "accuracy"}
    assert found["saved"] == ["out/model-0.safetensors"]
    weights = load_file(tmp_path / "out" / "model-0.safetensors")
    assert {name: tuple(each.shape) for name, each in weights.items()} == {
        "0.weight": (4, 3),
        "0.bias": (4,),
        "2.weight": (2, 4),
        "2.bias": (2,),
    }
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert "<svg" in (tmp_path / "gantt.html").read_text()
    with Project(tmp_path) as project:
        log = RunLog(project)
        (model,) = log.of_run(log.runs(1)[0].id)
        assert (model.step, model.status) == ("model 0", "done")
        assert log.load(model.output).columns == ["step", "loss"]
    again = call("small_job.py")
    assert "actual: " in again.output
    assert all(len(line) <= 80 for line in again.output.splitlines())


def test_a_search_is_trained(call, tmp_path):
    result = call("small_job.py:search", "--save", "out")
    with Project(tmp_path) as project:
        log = RunLog(project)
        steps = {each.step for each in log.of_run(log.runs(1)[0].id)}
        assert steps == {"trial 0", "trial 1"}
    assert "1. trial " in result.output
    assert "written: out/best.safetensors" in result.output


def test_every_model_failed(call):
    error = call("small_job.py:hopeless").exception
    assert isinstance(error, TrainError)
    assert str(error).startswith("every model failed; the first: the loss is ")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("none.py", "there is no such file"),
        ("small_job.py:number", "expected 'number' to be a training job or a search"),
        ("small_job.py:nothing", "found NoneType"),
    ],
)
def test_wrong_files(call, named, message):
    assert message in str(call(named).exception)
