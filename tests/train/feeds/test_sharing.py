from __future__ import annotations

import gc
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.processes import segments

from gristmill.core.errors import TrainError
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.sharing import Sharing

READ = """
import pickle, sys
feed, = pickle.loads(sys.stdin.buffer.read())
print(feed.batch(3).inputs[0].double().sum().item())
"""


def feed_of(rows: int = 3000) -> Feed:
    x = np.random.default_rng(0).normal(size=(rows, 20)).astype(np.float32)
    return Feed(Arrays(x, targets=np.arange(rows)), 7, 0)


def test_another_process_reads_the_same() -> None:
    feed = feed_of()
    with Sharing() as sharing:
        sent = sharing.dumps([feed])
        assert len(sent) < 40_000  # the targets are 24 KB
        done = subprocess.run([sys.executable, "-c", READ], input=sent, capture_output=True)
    wanted = feed.batch(3).inputs[0].double().sum().item()
    assert (done.stderr, done.stdout.decode()) == (b"", f"{wanted}\n")


def test_an_array_of_many_messages_is_shared_and_mapped_once() -> None:
    before, feed = segments(), feed_of()
    with Sharing() as sharing:
        messages = [sharing.dumps((trial, Feed(feed.dataset, 9, trial))) for trial in range(5)]
        assert sharing.nbytes == 3000 * 20 * 4
        assert segments() == before + 1
        opened = [pickle.loads(each)[1] for each in messages]
        first = opened[0].dataset.inputs[0]
        assert all(each.dataset.inputs[0] is first for each in opened)
        assert not first.flags.owndata
    del opened, first
    gc.collect()
    assert segments() == before


@pytest.mark.parametrize(
    "large",
    [
        torch.arange(40_000.0).view(200, 200).t(),
        torch.ones(100, 400, dtype=torch.bfloat16),
        np.arange(60_000.0).reshape(200, 300)[:, ::2],
        np.zeros((300, 200)).T,
    ],
    ids=["turned tensor", "bfloat16", "gaps", "turned array"],
)
def test_whatever_is_large(large: object) -> None:
    with Sharing() as sharing:
        sent = sharing.dumps({"large": large})
        found = pickle.loads(sent)["large"]
        assert len(sent) < 2000
        assert type(found) is type(large)
        assert (found == large).all()


def test_what_is_small_travels() -> None:
    with Sharing() as sharing:
        message = [np.arange(100), torch.ones(3), np.array(["a"], dtype=object), "text"]
        found = pickle.loads(sharing.dumps(message))
        assert sharing.nbytes == 0
    assert (found[0] == message[0]).all()
    assert torch.equal(found[1], message[1])
    assert (found[2][0], found[3]) == ("a", "text")


def test_files_stay_where_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(50_000.0))
    whole = np.load(tmp_path / "x.npy", mmap_mode="r")
    with Sharing() as sharing:
        assert isinstance(pickle.loads(sharing.dumps(whole)), np.memmap)
        assert sharing.nbytes == 0
        for _ in range(3):
            part = whole[10_000:]
        found = pickle.loads(sharing.dumps(part))
        assert (found == part).all()
        assert sharing.nbytes == part.nbytes


def test_what_cannot_be_sent() -> None:
    message = (
        "cannot be sent to a worker: TypeError: cannot pickle '_thread.lock' object\n"
        "  fix: let model, loss and data hold no locks, open files or connections"
    )
    with Sharing() as sharing, pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        sharing.dumps([threading.Lock()])
