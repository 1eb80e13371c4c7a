"""`python script.py` and `gristmill job`, killed at any moment: started again, the same bits."""

from __future__ import annotations

import random
import runpy
import shutil
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from gristmill.train.jobs.reference import plain_loop

SCRIPT = """
import numpy as np
from torch import nn

from gristmill.train import Recipe, Resources, TrainingJob
from gristmill.train.feeds.sources import as_dataset

draws = np.random.default_rng(0)
inputs = draws.normal(size=(96, 8)).astype(np.float32)
classes = (inputs[:, 0] > 0).astype(np.int64)


def build():
    hidden = [nn.Sequential(nn.Linear(96, 96), nn.Tanh(), nn.Dropout(0.2)) for _ in range(4)]
    return nn.Sequential(nn.Linear(8, 96), *hidden, nn.Linear(96, 2))


def job():
    recipe = Recipe(
        as_dataset((inputs, classes)), "cross_entropy", epochs=40, batch_size=24, micro_batches=2
    )
    place = Resources("run", devices=2, memory="600KB", commit_seconds=0.0)
    return TrainingJob([recipe.trial(build)], place)


if __name__ == "__main__":
    job().run().save("out")
"""
KILLS = 2
STEPS = 160


def started(words, folder):
    return subprocess.Popen(
        [sys.executable, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def written(folder):
    journal = folder / "run" / "state" / "journal"
    return journal.stat().st_size if journal.exists() else 0


def killed(words, folder, draw):
    """Start it, kill it a while after its first new commit; say whether it was still running."""
    before = written(folder)
    with started(words, folder) as process:
        while process.poll() is None and written(folder) <= before:
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
    return process.returncode < 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["script.py"], ["-m", "gristmill", "job", "script.py", "--save", "out"]],
    ids=["script", "command"],
)
def test_killed_and_started_again(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    draw = random.Random(len(words))
    kills = 0
    while kills < KILLS:
        if killed(words, tmp_path, draw):
            kills += 1
        else:  # a fast machine comes to the end before, and whoever looks late comes after it
            for folder in ("run", "out"):
                shutil.rmtree(tmp_path / folder)
    with started(words, tmp_path) as last:
        _, said = last.communicate()
    assert last.returncode == 0, said.decode()
    found = load_file(tmp_path / "out" / "model-0.safetensors")
    spec = runpy.run_path(str(tmp_path / "script.py"))["job"]().trials[0]
    assert spec.steps == STEPS
    wanted = plain_loop(spec).state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
