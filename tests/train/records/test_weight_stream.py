"""Weights that pass through memory: the right ones, within the pool, read ahead, and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from gristmill.core.errors import BundleError, TrainError, UsageError
from gristmill.store.bundle_files import entry_of
from gristmill.store.tensor_file import TensorFile
from gristmill.train.records.tensor_records import TensorRecords
from gristmill.train.records.weight_stream import WeightStream

BLOCK = 4096
Opener = Callable[..., WeightStream]


def tensors(sizes: list[int]) -> dict[str, np.ndarray]:
    return {f"t{at}": np.full(size, at, np.float32) for at, size in enumerate(sizes)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def opened(folder: Path, arrays: dict[str, np.ndarray]) -> TensorFile:
    path, data = folder / "weights.safetensors", save(arrays)
    path.write_bytes(data)
    return TensorFile(path, entry_of(data))


@pytest.fixture
def open_stream(tmp_path: Path) -> Iterator[Opener]:
    """Open a stream of float32 tensors: open_stream(sizes, groups, memory)."""
    streams: list[WeightStream] = []

    def open_(sizes: list[int], groups: list[list[str]], memory: int) -> WeightStream:
        streams.append(WeightStream(opened(tmp_path, tensors(sizes)), groups, memory))
        return streams[-1]

    yield open_
    for stream in streams:
        stream.close()


def visit(stream: WeightStream, *groups: int) -> None:
    for at in groups:
        with stream.group(at):
            pass


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3 * 1024), min_size=1, max_size=7),
    spare=st.integers(0, 8),
    rounds=st.integers(1, 3),
    data=st.data(),
)
def test_each_group_is_what_the_file_holds_in_any_pool(
    place: Path, sizes: list[int], spare: int, rounds: int, data: st.DataObject
) -> None:
    arrays = tensors(sizes)
    groups = data.draw(st.lists(st.lists(st.sampled_from(sorted(arrays)), unique=True), min_size=1,
                                max_size=5))  # fmt: skip
    largest = max(sum(-(-arrays[name].nbytes // 64) * 64 for name in group) for group in groups)
    memory = max(BLOCK, -(-largest // BLOCK) * BLOCK) + spare * BLOCK
    with WeightStream(opened(place, arrays), groups, memory) as stream:
        for _ in range(rounds):
            for at, group in enumerate(groups):
                with stream.group(at) as found:
                    assert found.keys() == set(group)
                    for name in group:
                        np.testing.assert_array_equal(found[name].numpy(), arrays[name])
        assert stream.rounds == rounds


def test_what_fits_is_read_once(open_stream: Opener) -> None:
    stream = open_stream([1024] * 3, [["t0"], ["t1"], ["t2"]], 3 * BLOCK)
    visit(stream, *[0, 1, 2] * 4)
    assert stream.bytes_read == 3 * BLOCK


def test_what_does_not_fit_is_read_again_and_no_more(open_stream: Opener) -> None:
    stream = open_stream([1024] * 4, [["t0"], ["t1"], ["t2"], ["t3"]], 2 * BLOCK)
    visit(stream, *[0, 1, 2, 3] * 5)
    assert 4 * BLOCK < stream.bytes_read <= 5 * 4 * BLOCK + 2 * BLOCK


def test_groups_may_share_a_tensor_and_have_none(open_stream: Opener) -> None:
    stream = open_stream([4, 5], [["t0"], [], ["t0", "t1"]], 2 * BLOCK)
    with stream.group(1) as nothing:
        assert nothing == {}
    with stream.group(2) as both:
        assert torch.equal(both["t0"], torch.zeros(4))
        assert torch.equal(both["t1"], torch.ones(5))


def test_an_error_in_the_block_gives_the_group_back(open_stream: Opener) -> None:
    stream = open_stream([1024, 1024], [["t0"], ["t1"]], BLOCK)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), stream.group(0):
            1 / 0  # noqa: B018
    with stream.group(1) as found:
        assert found["t1"][0] == 1


def test_a_pool_that_is_too_small(open_stream: Opener) -> None:
    with pytest.raises(TrainError, match=r"needs 12.3 KB \(12288 bytes\), and the memory budget"):
        open_stream([2500], [["t0"]], 2 * BLOCK)


def test_a_file_that_changes_after_it_was_opened(open_stream: Opener, tmp_path: Path) -> None:
    stream = open_stream([1024, 1024], [["t0"], ["t1"]], BLOCK)
    visit(stream, 0)
    path = tmp_path / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    with pytest.raises(BundleError, match="tensor 't1' has changed since the file was opened"):
        visit(stream, 1, 0, 1)  # it may have been read ahead


def test_a_file_that_is_not_what_it_must_be_is_closed_again(tmp_path: Path) -> None:
    file = opened(tmp_path, tensors([4]))
    data = bytearray(file.path.read_bytes())
    data[-1] ^= 1
    file.path.write_bytes(data)
    with pytest.raises(BundleError, match="expected SHA-256"):
        WeightStream(file, [["t0"]], BLOCK)
    with pytest.raises(BundleError, match="can't be read: Bad file descriptor"):
        file.load()


def test_nothing_is_ever_committed(tmp_path: Path) -> None:
    with opened(tmp_path, tensors([4])) as file:
        records = TensorRecords(file, [["t0"]], {})
        with pytest.raises(UsageError, match="only read, and cannot be committed"):
            records.draft(0, 0, {}, ())
        records.discard((0, 0, "weights"), BLOCK)
        assert file.path.exists()


def test_a_group_of_empty_tensors_lends_them(open_stream: Opener) -> None:
    with open_stream([0, 4], [["t0"], ["t1"]], BLOCK).group(0) as found:
        assert {name: each.shape for name, each in found.items()} == {"t0": (0,)}
