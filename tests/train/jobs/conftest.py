"""Trials of every kind, and runs to train them in that several examples share."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path

import pytest
import torch

from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.workers.machine import find_devices


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def trials():
    """A module that worker processes can import."""
    sys.path.insert(0, str(Path(__file__).parent))
    return importlib.import_module("job_trials")


class SharedRuns:
    """Runs by devices and memory; starting workers for each example would take most of the time."""

    def __init__(self, folder):
        self.numbers = itertools.count()
        self._folder, self._runs = folder, {}

    def get(self, devices, memory):
        if (devices, memory) not in self._runs:
            self._runs[devices, memory] = TrainingRun(
                self._folder / str(next(self.numbers)),
                devices=find_devices(f"cpu:{devices}"),
                memory=memory,
                commit_seconds=0.0,
            )
        return self._runs[devices, memory]

    def train(self, devices, memory, prepared):
        """Train trials together; return the run and their numbers. A run that fails is closed."""
        run = self.get(devices, memory)
        numbers = [next(self.numbers) for _ in prepared]
        try:
            for number, each in zip(numbers, prepared, strict=True):
                run.add(number, *each)
            run.run()
        except BaseException:
            self._runs.pop((devices, memory)).close()
            raise
        return run, numbers

    def close(self):
        for run in self._runs.values():
            run.close()


@pytest.fixture(scope="module")
def shared_runs(tmp_path_factory):
    runs = SharedRuns(tmp_path_factory.mktemp("runs"))
    yield runs
    runs.close()


@pytest.fixture
def start(tmp_path):
    """A function that opens a run in the test's folder; all are closed at the end."""
    opened = []

    def begin(devices=1, memory=1 << 20, name="run", **more):
        more.setdefault("commit_seconds", 0.0)
        run = TrainingRun(
            tmp_path / name, devices=find_devices(f"cpu:{devices}"), memory=memory, **more
        )
        opened.append(run)
        return run

    yield begin
    for run in opened:
        run.close()
