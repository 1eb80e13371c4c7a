from __future__ import annotations

import gc
import mmap
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from tests.processes import segments

from gristmill.core.errors import TrainError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.feeds import shared
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.batch import Batch
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.shared import Shared
from gristmill.train.feeds.token_windows import TokenWindows

READ = """
import pickle, sys
feed = pickle.loads(sys.stdin.buffer.read()).open()
print([feed.batch(step).inputs[0].double().sum().item() for step in range(6)])
"""


@pytest.fixture
def feed() -> Feed:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 6, 3)).astype(np.float32)
    return Feed(Arrays(x, torch.arange(40), targets=np.arange(40), weights=x[:, 0, 0] ** 2), 9, 2)


def sums(feed: Feed) -> list[float]:
    return [feed.batch(step).inputs[0].double().sum().item() for step in range(6)]


def test_another_process_reads_the_same(feed, tmp_path):
    np.save(tmp_path / "y.npy", np.arange(40))
    feed.dataset.targets = (np.load(tmp_path / "y.npy", mmap_mode="r"),)
    with Shared(feed) as held:
        sent = cloudpickle.dumps(held.handle)
        assert len(sent) < 2000
        done = subprocess.run([sys.executable, "-c", READ], input=sent, capture_output=True)
    assert (done.stderr, done.stdout.decode().strip()) == (b"", str(sums(feed)))


def test_nothing_is_copied_and_nothing_left(feed):
    before = segments()
    held = Shared(feed)
    opened = held.handle.open()
    assert opened.dataset.inputs[0].base is not None
    assert opened.dataset.inputs[0].ctypes.data % 64 == 0
    assert fingerprint(opened) == fingerprint(feed)
    held.close()
    held.close()
    assert sums(opened) == sums(feed)  # what is mapped stays until it is let go
    assert segments() > before
    del opened
    gc.collect()
    assert segments() == before


def test_a_holder_that_is_forgotten_lets_go(feed):
    before = segments()
    held = Shared(feed)
    assert segments() == before + 1
    del held
    gc.collect()
    assert segments() == before


def test_a_killed_owner_leaves_nothing():
    reading, writing = os.pipe()
    if not (owner := os.fork()):
        held = Shared(np.ones(1000))
        os.write(writing, pickle.dumps(held.handle))
        signal.pause()
    handle = pickle.loads(os.read(reading, 10_000))
    assert handle.open().sum() == 1000
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    os.close(reading)
    os.close(writing)
    message = "shared data cannot be opened: No such file or directory"
    with pytest.raises(TrainError, match=f"^{message}$"):
        handle.open()
    assert not list(Path("/dev/shm").glob("gristmill-data*"))


def test_a_number_that_went_to_another_file_is_noticed(feed, tmp_path):
    held = Shared(feed)
    fd = int(held.handle.path.rpartition("/")[2])
    held.close()
    (tmp_path / "file").write_bytes(b"x" * 9999)
    other = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert other == fd
        message = "^shared data cannot be opened: its owner has closed it$"
        with pytest.raises(TrainError, match=message):
            held.handle.open()
    finally:
        os.close(other)


def test_files_stay_where_they_are(tmp_path):
    np.save(tmp_path / "text.npy", np.arange(5000, dtype=np.uint16))
    windows = TokenWindows(tmp_path / "text.npy", 10)
    with Shared(Feed(windows, 8, 0)) as held:
        assert (held.nbytes, held.handle.path) == (0, "")
        opened = held.handle.open()
        assert isinstance(opened.dataset.tokens, np.memmap)
        assert sums(opened) == sums(Feed(windows, 8, 0))


def test_a_part_of_a_file_is_taken_as_it_is(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(100.0).reshape(10, 10))
    whole = np.load(tmp_path / "x.npy", mmap_mode="r")
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[0] = -1
    np.save(tmp_path / "f.npy", np.asfortranarray(whole))
    columns = np.load(tmp_path / "f.npy", mmap_mode="r")
    for part in (whole[3:7], whole[:, 2], changed, columns):
        with Shared(part) as held:
            assert held.nbytes >= part.nbytes
            np.testing.assert_array_equal(held.handle.open(), part)


def test_a_file_that_changed_is_refused(tmp_path):
    path = (tmp_path / "x.npy").resolve()
    np.save(path, np.arange(100))
    with Shared(Arrays(path)) as held:
        np.save(path, np.arange(101))
        message = f"{path}: the data file has changed since the run began\n  fix: start a new run"
        with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
            held.handle.open()
        path.unlink()
        message = f"{path}: the data file cannot be read: No such file or directory"
        with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
            held.handle.open()


class Own:
    """A user's dataset, with whatever is in it."""

    def __init__(self) -> None:
        self.tensors = [torch.arange(600.0).view(30, 20), torch.ones(3, 4, dtype=torch.bfloat16)]
        self.turned = self.tensors[0].t()
        self.empty, self.scalar = np.zeros((0, 3)), torch.tensor(2.5)
        self.names = np.array(["a", "bc"])
        self.function = lambda rows: rows * 2

    def __len__(self) -> int:
        return 30

    def take(self, rows):
        return Batch((self.tensors[0][rows],), None, torch.ones(len(rows)))


def test_a_dataset_of_ones_own():
    own = Own()
    with Shared(own) as held:
        opened = held.handle.open()
    assert held.handle.rows == 30
    assert torch.equal(opened.tensors[0], own.tensors[0])
    assert torch.equal(opened.tensors[1], own.tensors[1])
    assert torch.equal(opened.turned, own.turned)
    assert (opened.empty.shape, opened.scalar.item()) == ((0, 3), 2.5)
    assert opened.names.tolist() == ["a", "bc"]
    assert opened.function(4) == 8
    assert opened.take(torch.tensor([2])).inputs[0].tolist() == own.tensors[0][[2]].tolist()


def test_arrays_with_gaps_stay_out_of_the_handle():
    wide, turned = np.arange(30_000.0).reshape(3000, 10), np.zeros((300, 50)).T
    with Shared([wide[:, ::2], turned]) as held:
        assert len(held.handle.payload) < 1000
        opened = held.handle.open()
        np.testing.assert_array_equal(opened[0], wide[:, ::2])
        assert opened[1].shape == (50, 300)


def test_what_one_process_writes_no_other_sees():
    with Shared(np.zeros(100)) as held:
        first, second = held.handle.open(), held.handle.open()
        first[:] = 7
        assert second.sum() == 0
        fd = os.open(held.handle.path, os.O_RDWR)
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            mmap.mmap(fd, 8)
        os.close(fd)


def test_no_room(feed, monkeypatch):
    before = segments()

    def full(fd: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared.os, "ftruncate", full)
    message = (
        f"{40 * 6 * 3 * 4 + 2 * 320 + 192} B of data do not fit memory: No space left on device\n"
        "  fix: save the arrays as .npy files and hand in their paths: they are read in place"
    ).replace("3712 B", "3.71 KB")
    with pytest.raises(TrainError, match=f"^{re.escape(message)}$"):
        Shared(feed)
    gc.collect()
    assert segments() == before


def test_elsewhere_a_temporary_file_does(feed, monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "_MEMFD", False)
    monkeypatch.setattr(shared.tempfile, "tempdir", str(tmp_path))
    with Shared(feed) as held:
        assert [each.name for each in tmp_path.iterdir()] == [Path(held.handle.path).name]
        assert sums(held.handle.open()) == sums(feed)
        if not (child := os.fork()):
            held.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
