"""A process that commits is killed at random moments; the next one finds the last step whole."""

from __future__ import annotations

import mmap
import os
import random
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gristmill.train.records.pager import Pager
from gristmill.train.records.pool import Pool
from gristmill.train.records.record_store import RecordStore

BLOCK = 4096
SHARDS = {(0, 0, "weights"): 3, (0, 0, "state"): 6, (0, 1, "weights"): 4, (0, 1, "state"): 8}
KILLS = 60


def contents(key: tuple[int, int, str], version: int) -> bytes:
    """Bytes of a record that tell its key and version in each word."""
    _, shard, section = key
    word = f"{shard}{section[0]}{version:06d}".encode()
    return word * (SHARDS[key] * BLOCK // len(word))


def train(folder: Path, tick: Callable[[], object]) -> None:
    """Resume, then update all records and commit each step, in a pool that holds half of them.

    `tick` is called whenever something happens.
    """
    with Pool.create(12 * BLOCK) as pool, RecordStore(folder) as store, Pager(pool, store) as pager:
        commit = store.last(0)
        step = commit.step if commit else 0
        for key, blocks in SHARDS.items():
            pager.add(key, blocks * BLOCK, step, "stored" if commit else "made")
        with selectors.DefaultSelector() as selector:
            selector.register(pager, selectors.EVENT_READ)
            while True:
                for key in SHARDS:
                    update(pager, pool, selector, key, step, tick)
                step += 1
                pager.commit(0, step, {"seen": step})
                while pager.committing(0):
                    selector.select(1)
                    pager.poll()
                    tick()


def update(pager, pool, selector, key, step, tick):
    while (offset := pager.pin(key, step, change=True)) is None:
        selector.select(1)
        tick()
        for event in pager.poll():
            if event.error:
                raise event.error
    view = pool.view(offset, SHARDS[key] * BLOCK)
    if step and bytes(view) != contents(key, step):
        os._exit(3)
    view[:] = contents(key, step + 1)
    pager.unpin(key, step + 1, dirty=True)


def killed_after(folder: Path, ticks: int, seconds: float) -> int:
    """Run `train` in a child and kill it this long after so many ticks; return what wait says."""
    heard, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            train(folder, lambda: os.write(tell, b"."))
        os._exit(4)
    os.close(tell)
    while ticks > 0 and (got := os.read(heard, ticks)):
        ticks -= len(got)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.close(heard)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check(folder: Path) -> int:
    """Return the step of the last commit, after comparing all of its bytes."""
    with RecordStore(folder) as store:
        commit = store.last(0)
        if commit is None:
            return 0
        assert commit.note == ""
        assert commit.extra == {"seen": commit.step}
        assert commit.versions == dict.fromkeys(SHARDS, commit.step)
        for record in commit.records:
            key = (0, record.shard, record.section)
            with mmap.mmap(-1, record.nbytes) as area, memoryview(area) as view:
                store.read(0, record, view)
                assert bytes(view) == contents(key, commit.step)
        return commit.step


def test_a_kill_at_any_moment_leaves_a_whole_last_step(tmp_path):
    draw, steps = random.Random(0), [0]
    for _ in range(KILLS):
        code = killed_after(tmp_path / "run", draw.randrange(40), draw.uniform(0, 0.003))
        assert code == -signal.SIGKILL
        steps.append(check(tmp_path / "run"))
    assert steps == sorted(steps)
    assert len(set(steps)) > KILLS // 4  # most runs committed something before they died
