"""Killed at any moment, whoever it is: the next run ends with the bits of the plain loop."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

KILLS_OF_WORKERS = 25
KILLS_OF_MAIN = 18
FOLDER = Path(__file__).parent


class Reaper(threading.Thread):
    """Kills a worker of a run, one or the other, every now and then."""

    def __init__(self, run, draw, most):
        super().__init__(daemon=True)
        self.kills = 0
        self._run, self._draw, self._most = run, draw, most
        self._over = threading.Event()

    def run(self):
        while self.kills < self._most and not self._over.wait(self._draw.uniform(0.0, 0.4)):
            with suppress(ProcessLookupError):
                os.kill(self._draw.choice(self._run._crew.workers).pid, signal.SIGKILL)
                self.kills += 1

    def end(self):
        self._over.set()
        self.join()


def spilled(trials, seed):
    """Return trials with their plans: one spilled by stages, one pipelined, one in fused steps."""
    specs = [
        trials.trial(steps=20, micro_batches=3, seed=seed, held_out=6),
        trials.trial("tied", "momentum", steps=20, micro_batches=2, seed=seed, clip_norm=0.5),
        trials.trial("sequential", "adagrad", steps=20, seed=seed),
    ]
    return specs, [
        trials.planned(specs[0], cuts=(2, 5, 9), dropped=(1,)),
        trials.planned(specs[1], "tied", cuts=(1, 2), grain="micro"),
        trials.planned(specs[2], "sequential", grain="step"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_workers_that_are_killed_are_replaced(trials, start, devices):
    draw, kills, round_ = random.Random(devices), 0, 0
    while kills < KILLS_OF_WORKERS // 2 + 1:
        specs, prepared = spilled(trials, round_)
        run = start(devices, 2 * trials.least_memory(prepared), name=f"run-{round_}")
        for number, each in enumerate(prepared):
            run.add(number, *each)
        reaper = Reaper(run, draw, KILLS_OF_WORKERS // 2 + 1 - kills)
        reaper.start()
        try:
            run.run()
        finally:
            reaper.end()
        assert run.failures == {}
        assert [trials.differences(run, number, spec) for number, spec in enumerate(specs)] == [
            [], [], []
        ]  # fmt: skip
        assert sorted(run.figures(0)) == [6, 12, 18, 20]
        assert run.figures(0)[20] == trials.expected_figures(specs[0])
        run.close()
        kills, round_ = kills + reaper.kills, round_ + 1
    assert kills == KILLS_OF_WORKERS // 2 + 1


def marked(token):
    """Return the processes that have inherited an environment variable of this value."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if token in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


def none_left(token, patience=60.0):
    """Wait until no process with this mark is left; say whether it came to that."""
    deadline = time.monotonic() + patience
    while (there := marked(token)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not there


def shared_memory():
    return {each.name for each in Path("/dev/shm").glob("*gristmill*")}


def left_behind(folder):
    """Return temporary files, but for the folder of caches that torch makes for itself."""
    return [each.name for each in folder.iterdir() if not each.name.startswith("torchinductor")]


@pytest.fixture
def script(tmp_path):
    """A function that starts a script of this folder; its mark, and its folder of temporary files.

    All its processes are ended with the test.
    """
    token = f"gristmill-{os.getpid()}-{time.monotonic_ns()}"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"GRISTMILL_MARK": token, "TMPDIR": str(temporary)}

    def begin(name, *words):
        return subprocess.Popen(
            [sys.executable, str(FOLDER / name), *map(str, words)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    yield begin, token.encode(), temporary
    for pid in marked(token.encode()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_main_process_that_is_killed_is_gone_on_from(script, tmp_path):
    begin, token, temporary = script
    before = shared_memory()
    with begin("kill_main.py", tmp_path, KILLS_OF_MAIN, 1) as process:
        said = process.communicate(timeout=500)[0]
    found = re.search(r"kills=(\d+) ended=(\d+) differences=(\d+)$", said.strip())
    assert found, said
    kills, ended, different = map(int, found.groups())
    assert kills == KILLS_OF_MAIN
    assert ended >= 1
    assert different == 0, said
    assert none_left(token)
    assert left_behind(temporary) == []
    assert shared_memory() <= before


@pytest.mark.slow
def test_a_script_that_is_interrupted_leaves_nothing_and_is_gone_on_from(script, tmp_path):
    begin, token, temporary = script
    before = shared_memory()
    with begin("job_trials.py", tmp_path, 2, 60, "run/history/00000") as process:
        said = process.communicate(timeout=200)[0]
    assert process.returncode == -signal.SIGINT, said
    assert said.rstrip().endswith("KeyboardInterrupt"), said
    assert none_left(token)
    assert left_behind(temporary) == []
    assert shared_memory() <= before
    commits = (tmp_path / "run" / "journal").read_text().count('"type":"commit"')
    with begin("job_trials.py", tmp_path, 1, 60) as process:
        said = process.communicate(timeout=200)[0]
    assert said.endswith("ended 0 1\n"), said
    assert (tmp_path / "run" / "journal").read_text().count('"type":"commit"') > commits
