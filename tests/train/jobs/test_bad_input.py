"""What goes wrong in a run: said clearly, without harm to other trials or to what is finished."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.core.errors import TrainError, UsageError
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.batch import Batch
from gristmill.train.jobs.job import job
from gristmill.train.jobs.trial_plan import TrialPlan


class Wrapped:
    """An objective, or a feed, that does something of its own at a step."""

    def __init__(self, inner, at, act):
        self.inner, self.at, self.act = inner, at, act

    def batch(self, step):
        found = self.inner.batch(step)
        return self.act(found) if step == self.at else found


def with_feed(trials, at, act, **settings):
    """Return a trial whose batch of step `at` is changed by `act`."""
    spec = trials.trial("tied", steps=6, micro_batches=2, **settings)
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    return type(spec)(**fields | {"feed": Wrapped(spec.feed, at, act)})


def spoilt(batch):
    return Batch(tuple(each * float("nan") for each in batch.inputs), batch.targets, batch.weights)


def refused(batch):
    raise ValueError(f"no {batch.rows} rows today")


def huge(batch):
    torch.empty(1 << 50, dtype=torch.uint8)
    return batch


def crash(batch):
    os.kill(os.getpid(), signal.SIGSEGV)
    return batch


@pytest.mark.parametrize("grain", ["stage", "micro", "step"])
@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (spoilt, r"^the loss is nan at step 3$"),
        (refused, r"step \d.*ValueError: no \d+ rows today"),
        (huge, r"step \d.*(?i:memory)"),
        (crash, r"its worker died 2 times at step 3: .*crashed in native code \(SIGSEGV\)"),
    ],
    ids=["NaN", "exception", "memory", "crash"],
)
def test_a_trial_that_fails_harms_no_other(trials, start, grain, act, reason):
    bad, good = with_feed(trials, 3, act), trials.trial(steps=6, micro_batches=2)
    prepared = [
        trials.planned(bad, "tied", cuts=(1, 2), grain=grain),
        trials.planned(good, cuts=(2, 5), grain=grain, spilled=False),
    ]
    run = start(1, 1 << 20)
    for number, each in enumerate(prepared):
        run.add(number, *each)
    run.run()
    assert list(run.failures) == [0]
    assert re.search(reason, run.failures[0])
    assert trials.differences(run, 1, good) == []
    assert run._pool.free == run._pool.nbytes  # the failed trial's memory is free again
    assert sorted(run.losses(0))[:3] == [0, 1, 2]


def test_an_optimiser_that_needs_all_parameters_at_once(trials):
    spec = trials.trial("tied")
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    spec = type(spec)(**fields | {"optimizer": torch.optim.LBFGS})
    with pytest.raises(TrainError, match=r"LBFGS cannot update parameters one by one"):
        TrialPlan.cut(spec, trials.graph_of("tied"))


def test_two_runs_in_one_folder(trials, start):
    start()
    with pytest.raises(TrainError) as caught:
        start()
    assert re.search(
        rf"run: the folder is in use by process {os.getpid()}, which is this one\n"
        r"  fix: wait for that run or stop it, or give this one a folder of its own$",
        str(caught.value),
    )


@pytest.fixture
def short_files():
    """A function that limits the files that this process may write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(nbytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_run_and_loses_nothing(trials, start, short_files):
    specs = [trials.trial("tied", steps=2), trials.trial(steps=10, micro_batches=2)]
    prepared = [
        trials.planned(specs[0], "tied", grain="step"), trials.planned(specs[1], cuts=(2, 5))
    ]  # fmt: skip
    memory = trials.least_memory(prepared)
    run = start(1, memory, name="run")
    run.add(0, *prepared[0])
    run.run()
    run.add(1, *prepared[1])
    short_files(2 * 4096)
    with pytest.raises(TrainError) as caught:
        run.run()
    said = str(caught.value)
    assert re.search(
        r"records/00001/\d+-\w+-\d+: the disk is full: \d+ bytes needed \(.*\), \d+ free \(.*\)\n"
        r"  fix: make room on this disk and start the run again: committed steps are untouched$",
        said,
    )
    run.close()
    short_files(resource.RLIM_INFINITY)
    again = start(1, memory, name="run")
    for number, each in enumerate(prepared):
        again.add(number, *each)
    again.run()
    assert [trials.differences(again, number, spec) for number, spec in enumerate(specs)] == [
        [],
        [],
    ]


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def begun(trials, start, steps, until):
    """Train a trial up to a step; return it and its plan."""
    spec = trials.trial(steps=steps, micro_batches=2, held_out=3)
    prepared = trials.planned(spec, cuts=(2, 5))
    run = start(1, trials.least_memory([prepared]))
    run.add(0, *prepared, until=until)
    run.run()
    run.close()
    return spec, prepared


def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(trials, start, tmp_path, said):
    spec, prepared = begun(trials, start, 8, 5)
    run = start(1, 1 << 20)
    last = run._store.commits(0)[-1]
    record = last.records[0]
    path = run._store.file((0, record.shard, record.section), record.nbytes).blocks.path
    run.close()
    flip(path, record.slot * record.nbytes + 3)
    run = start(1, 1 << 20)
    run.add(0, *prepared)
    run.run()
    assert len(said) == 1
    assert re.fullmatch(
        r"trial 0: step 5 is damaged \(.*: slot \d: expected digest \w{32}, found \w{32}\); "
        r"it goes on from step 4",
        said[0],
    )
    assert trials.differences(run, 0, spec) == []
    assert sorted(run.figures(0)) == [3, 6, 8]


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.97])
def test_a_damaged_journal_is_told_or_gone_on_from_exactly(trials, start, tmp_path, said, place):
    spec, prepared = begun(trials, start, 8, 5)
    journal = tmp_path / "run" / "journal"
    flip(journal, int(place * journal.stat().st_size))
    try:
        run = start(1, 1 << 20)
        run.add(0, *prepared)
    except TrainError as error:
        assert "journal" in str(error)  # noqa: PT017  (either is right, as long as it is said)
        return
    run.run()
    assert trials.differences(run, 0, spec) == []
    assert said == [] or "journal" in said[0]


IN_A_SMALL_FILE_SYSTEM = """
mount -t tmpfs -o size=100k none "$1" || exit 99
"$2" "$3" "$1" 1 8
mount -o remount,size=50m "$1"
"$2" "$3" "$1" 1 8
"""


@pytest.mark.slow
def test_a_full_file_system_in_mid_step(tmp_path):
    words = ["unshare", "-rm", "sh", "-c", IN_A_SMALL_FILE_SYSTEM, "sh", str(tmp_path)]
    script = Path(__file__).with_name("job_trials.py")
    if not shutil.which("unshare"):
        pytest.skip("no unshare here, which makes a place to mount in")
    done = subprocess.run([*words, sys.executable, script], capture_output=True, text=True)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    assert re.search(r"the disk is full: .* bytes needed .*, \d.* free", done.stderr)
    assert "make room on this disk and start the run again" in done.stderr
    assert done.stdout.splitlines() == ["training", "training", "ended 0 1"]


def test_when_all_checkpoints_are_damaged_nothing_is_trained(trials, start, tmp_path):
    _, prepared = begun(trials, start, 8, 5)
    for path in (tmp_path / "run" / "records" / "00000").iterdir():
        for slot in range(path.stat().st_size // 4096):
            flip(path, slot * 4096)
    run = start(1, 1 << 20)
    with pytest.raises(TrainError, match="no commit of trial 0 can be used: step 5 is damaged"):
        run.add(0, *prepared)


def test_a_pool_smaller_than_a_shard(trials, start):
    prepared = trials.planned(trials.trial())
    run = start(1, 8192)
    with pytest.raises(
        TrainError, match=r"needs .*, and the memory budget is 8.19 KB \(8192 bytes\)"
    ):
        run.add(0, *prepared)
    with pytest.raises(UsageError, match="the memory budget is"):
        start(1, 100, name="other")


class OutOfOrder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 2)

    def forward(self, x):
        raise RuntimeError("this model is out of order")


class Noise(nn.Module):
    """Draws from a generator that nobody can seed."""

    def forward(self, x):
        return x + int.from_bytes(os.urandom(2), "little") / 65536


def wide():
    return nn.Sequential(nn.Linear(16, 64), nn.Linear(64, 512), nn.Linear(512, 2))


@pytest.fixture
def asked(tmp_path):
    """A function that plans a job of one worker."""

    def plan(model, memory="1GB", rows=64):
        x = np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32)
        data = Arrays(x, targets=(x[:, 0] > 0).astype(np.int64))
        return job(
            model, data, loss="cross_entropy", folder=tmp_path, devices=1, memory=memory,
            batch_size=16,
        )  # fmt: skip

    return plan


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"model": wide, "memory": "200KB"},
            r"no way to train with 1 micro-batch of 16 rows fits a budget of 200000 bytes "
            r"\(200 KB\); the largest layer is '1', which alone takes 7\d{5} bytes: .*\n"
            r"  fix: give at least [78]\d{5} bytes",
        ),
        (
            {"model": OutOfOrder},
            r"in forward: running the model on inputs float32\[16, 16\] failed: "
            r"RuntimeError: this model is out of order",
        ),
        ({"model": wide, "rows": 5}, "5 rows of data are fewer than a batch of 16\n  fix: batch"),
    ],
    ids=["budget", "model", "rows"],
)
def test_what_cannot_be_planned(asked, settings, message):
    with pytest.raises(TrainError, match=message):
        asked(**settings)


def test_bits_that_cannot_be_repeated_are_warned_of(asked):
    planned = asked(lambda: nn.Sequential(nn.Linear(16, 8), Noise(), nn.Linear(8, 2)))
    assert re.search(r"warning: .*deterministic", planned.explain())
