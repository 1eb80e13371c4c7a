"""Trains in a process that is killed at random moments, until that has happened often enough.

    python kill_main.py FOLDER KILLS SEED

Each run goes on from where the one before was killed; one that ends is compared with the plain
loop, and the next begins a new folder. Prints `kills=... ended=... differences=...`.

The processes are forked, nurseries included, from one that has torch loaded: to load it each time
would take seconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import job_trials
import torch
import torch._dynamo

from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.workers import nursery as nurseries
from gristmill.train.workers import nursery_process
from gristmill.train.workers.machine import find_devices

STEPS = 14
EQUAL, UNEQUAL = 0, 9


class Forked:
    """As much of `subprocess.Popen` as a nursery needs, by a fork in place of a new interpreter."""

    def __init__(self, words, *, pass_fds, **_):
        master = os.getpid()
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            self._become(pass_fds[0], master)

    def _become(self, end, master):
        try:
            os.setsid()
            os.closerange(3, end)
            os.closerange(end + 1, 4096)
            nursery_process.main(end, master, [])
        finally:
            os._exit(0)

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def train(folder, devices, seed):
    """Train two trials, spilled, to their end; say whether they are as they should be."""
    specs = [
        job_trials.trial(steps=STEPS, micro_batches=2, held_out=4, seed=seed),
        job_trials.trial(
            "tied", "momentum", steps=STEPS, micro_batches=2, clip_norm=0.5, seed=seed
        ),
    ]
    prepared = [
        job_trials.planned(specs[0], cuts=(2, 5, 9), dropped=(1,)),
        job_trials.planned(specs[1], "tied", cuts=(1, 2)),
    ]
    memory = devices * job_trials.least_memory(prepared)
    with TrainingRun(
        folder, devices=find_devices(f"cpu:{devices}"), memory=memory, commit_seconds=0.0
    ) as run:
        for number, each in enumerate(prepared):
            run.add(number, *each)
        run.run()
        wrong = [job_trials.differences(run, number, spec) for number, spec in enumerate(specs)]
        figures = run.figures(0)
    whole = sorted(figures) == [4, 8, 12, STEPS]
    same = figures[STEPS] == job_trials.expected_figures(specs[0])
    return EQUAL if wrong == [[], []] and whole and same else UNEQUAL


def killed_after(folder, devices, seed, seconds):
    """Train in a process of its own, killed after some seconds; return what became of it."""
    child = os.fork()
    if child == 0:
        code = UNEQUAL
        try:
            code = train(folder, devices, seed)
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder, kills, seed):
    draw = random.Random(seed)
    done = ended = different = 0
    for model in ("skips", "tied"):
        job_trials.graph_of(model)
    while done < kills or not ended:
        devices = 1 + ended % 2
        place = Path(folder) / f"run-{ended}"
        code = killed_after(place, devices, ended, draw.uniform(0.0, 1.5) if done < kills else 600)
        done += code == -signal.SIGKILL
        if code != -signal.SIGKILL:
            ended += 1
            different += code != EQUAL
    print(f"kills={done} ended={ended} differences={different}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    nurseries.subprocess = SimpleNamespace(Popen=Forked, DEVNULL=None, TimeoutExpired=TimeoutError)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
