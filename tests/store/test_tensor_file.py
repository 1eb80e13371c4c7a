"""Safetensors read by name: the bytes that the format's own library wrote, and nothing odd."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from gristmill.core.errors import BundleError
from gristmill.store.bundle_files import FileEntry, entry_of
from gristmill.store.tensor_file import TensorFile

DTYPES = ("bool", "float16", "float32", "float64", "int32", "int64", "uint8")


def written(folder: Path, data: bytes) -> tuple[Path, FileEntry]:
    path = folder / "weights.safetensors"
    path.write_bytes(data)
    return path, entry_of(data)


def forged(header: Any, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensors")


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 5), max_size=3)), max_size=6
    ),
    seed=st.integers(0, 99),
)
def test_what_was_saved_is_read(place: Path, kinds: list[tuple[str, list[int]]], seed: int) -> None:
    draw = np.random.default_rng(seed)
    arrays = {
        f"t{at}": np.asarray(draw.integers(0, 2, shape) * 3).astype(dtype)
        for at, (dtype, shape) in enumerate(kinds)
    }
    path, entry = written(place, save(arrays))
    with TensorFile(path, entry) as file:
        loaded = file.load()
        digests = file.check(hashlib.sha256)
        assert loaded.keys() == arrays.keys() == digests.keys()
        for name, array in arrays.items():
            assert loaded[name].dtype == array.dtype
            assert loaded[name].flags.writeable
            np.testing.assert_array_equal(loaded[name], array)
            one = bytearray(array.nbytes)
            file.read_into(name, memoryview(one))
            assert one == array.tobytes()
            assert digests[name] == hashlib.sha256(array.tobytes()).hexdigest()
            assert loaded[name].ctypes.data % 64 == 0 or not array.nbytes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not safetensors: 0 bytes"),
        (b"\x80\x04pickle!", "not safetensors: a header of "),
        (forged([]), "not safetensors: Expected `object`, got `array`"),
        (forged({"a": {"dtype": "F32"}}), "not safetensors: 'shape'"),
        (forged({"a": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]}}, b"12"),
         "not safetensors: 'BF16'"),
        (forged({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
         "not safetensors: tensor 'a' is [2] and 4 bytes"),
        (forged({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, b"1234"),
         "not safetensors: tensor 'a' is [-1, -1] and 4 bytes"),
        (forged({"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}, b"12"),
         "not safetensors: tensor 'a' begins at "),
        (forged({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"12"),
         "not safetensors: the tensors end at "),
    ],
)  # fmt: skip
def test_what_is_no_safetensors(tmp_path: Path, data: bytes, message: str) -> None:
    path, entry = written(tmp_path, data)
    with pytest.raises(BundleError) as caught:
        TensorFile(path, entry)
    assert str(caught.value).startswith(f"weights.safetensors: {message}")


def test_another_size_other_bytes_a_link_and_nothing(tmp_path: Path) -> None:
    data = save({"a": np.arange(4.0)})
    path, entry = written(tmp_path, data)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(BundleError, match=r"^link: can't be read: "):
        TensorFile(link, entry)
    with pytest.raises(BundleError, match=r"^nix: can't be read: No such file or directory$"):
        TensorFile(tmp_path / "nix", entry)
    with pytest.raises(BundleError, match=rf"expected 3 bytes, found {len(data)}$"):
        TensorFile(path, FileEntry(entry.sha256, 3))
    with TensorFile(path, FileEntry("0" * 64, len(data))) as file:
        for read in (file.load, lambda: file.check(hashlib.sha256)):
            with pytest.raises(BundleError, match=r"expected SHA-256 0{64}, found [0-9a-f]{64}$"):
                read()


def test_a_file_that_is_cut_short_while_it_is_open(tmp_path: Path) -> None:
    path, entry = written(tmp_path, save({"a": np.arange(4.0)}))
    with TensorFile(path, entry) as file:
        os.truncate(path, entry.bytes_ - 8)
        with pytest.raises(BundleError, match=rf"ends at byte {entry.bytes_ - 8}, expected 8 "):
            file.load()
        file.close()
