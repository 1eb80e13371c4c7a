from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gristmill.label.functions.vote_cache import VoteCache, cache_key

KEY = cache_key("f", ("ham", "spam"), "p")


def test_what_is_put_is_got(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path / "votes")
    assert cache.get(KEY, 3) is None
    cache.put(KEY, np.array([0, -1, 1], np.int8))
    found = VoteCache(str(tmp_path / "votes")).get(KEY, 3)
    assert found is not None
    assert (found.tolist(), found.dtype) == ([0, -1, 1], np.int8)


def test_keys_differ_by_function_classes_and_partition() -> None:
    keys = {
        KEY,
        cache_key("g", ("ham", "spam"), "p"),
        cache_key("f", ("spam", "ham"), "p"),
        cache_key("f", ("ham", "spam"), "q"),
    }
    assert len(keys) == 4


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"nonsense", None])
def test_a_damaged_file_counts_as_absent(tmp_path: Path, damage: bytes | None) -> None:
    cache = VoteCache(tmp_path)
    cache.put(KEY, np.array([0, 1], np.int8))
    (file,) = tmp_path.rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-1] if damage is None else damage)
    assert cache.get(KEY, 2) is None


def test_a_column_of_another_shape_or_kind_counts_as_absent(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    cache.put(KEY, np.array([0, 1], np.int8))
    assert cache.get(KEY, 3) is None
    cache.put(KEY, np.array([0.5, 1]))  # type: ignore[arg-type]
    assert cache.get(KEY, 2) is None


def test_equal_columns_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        VoteCache(tmp_path / name).put(KEY, np.array([0, 1], np.int8))
    first, second = sorted(tmp_path.rglob("*.npy"))
    assert first.read_bytes() == second.read_bytes()
