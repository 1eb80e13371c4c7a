from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.label.functions.vote_cache import VoteCache, cache_key

KEY = cache_key(("ham", "spam"), "p")
A, B = np.array([0, -1, 1], np.int8), np.array([1, 1, -1], np.int8)


def known(cache: VoteCache, rows: int = 3, key: str = KEY) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in cache.get(key, rows).items()}


def test_what_is_put_is_got(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path / "votes")
    assert cache.get(KEY, 3) == {}
    cache.put(KEY, {"g": B, "f": A})
    found = VoteCache(str(tmp_path / "votes")).get(KEY, 3)
    assert {name: column.tolist() for name, column in found.items()} == {
        "f": [0, -1, 1],
        "g": [1, 1, -1],
    }
    assert found["f"].dtype == np.int8
    assert known(cache, key=cache_key(("ham", "spam"), "q")) == {}


def test_wide_codes_keep_their_type(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    for names in ("f", "ff", "fff"):  # headers of odd and even lengths
        cache.put(KEY, {names: np.array([299, -1, 0], np.int16)})
        assert cache.get(KEY, 3)[names].tolist() == [299, -1, 0]


def test_a_run_makes_one_file_and_later_runs_add_to_it(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    cache.put(KEY, {"f": A, "g": B})
    cache.put(KEY, {"h": B})
    cache.put(KEY, {})
    assert len(list(tmp_path.rglob("*.votes"))) == 2
    assert known(cache).keys() == {"f", "g", "h"}


def test_many_edits_become_one_file_again(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    for edit in range(70):
        cache.put(KEY, {f"f{edit}": A})
    assert len(list(tmp_path.rglob("*.votes"))) == 6
    assert known(cache) == {f"f{edit}": A.tolist() for edit in range(70)}


def test_keys_differ_by_classes_and_content() -> None:
    frame = pl.DataFrame({"row_id": [0, 1], "n": [1, 2]})
    keys = {
        KEY,
        cache_key(("spam", "ham"), "p"),
        cache_key(("ham", "spam"), "q"),
        cache_key(("ham", "spam"), frame),
        cache_key(("ham", "spam"), frame.with_columns(n=pl.Series([1, 3]))),
        cache_key(("ham", "spam"), frame.rename({"n": "m"})),
        cache_key(("ham", "spam"), frame.cast(pl.Int32)),
        cache_key(("ham", "spam"), frame.reverse()),
    }
    assert len(keys) == 8
    assert cache_key(("ham", "spam"), frame.clone()) in keys


@pytest.mark.parametrize("damage", [b"", b"gristmill votes 1\n", b"x" * 300, b"cut", b"longer"])
def test_a_damaged_file_counts_as_absent(tmp_path: Path, damage: bytes) -> None:
    cache = VoteCache(tmp_path)
    cache.put(KEY, {"f": A})
    (file,) = tmp_path.rglob("*.votes")
    whole = file.read_bytes()
    file.write_bytes({b"cut": whole[:-1], b"longer": whole + b"0"}.get(damage, damage))
    assert cache.get(KEY, 3) == {}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[VoteCache, Path, bytes]:
    cache = VoteCache(tmp_path_factory.mktemp("votes"))
    cache.put(KEY, {"f": A})
    (file,) = cache.folder.rglob("*.votes")
    return cache, file, file.read_bytes()


@given(place=st.integers(0, 80), patch=st.binary(max_size=3))
def test_no_damage_is_worse_than_absence(
    stored: tuple[VoteCache, Path, bytes], place: int, patch: bytes
) -> None:
    cache, file, data = stored
    file.write_bytes(data[:place] + patch + data[place + len(patch) :])
    assert all(column.shape == (3,) for column in cache.get(KEY, 3).values())


def test_a_column_of_another_length_or_kind_counts_as_absent(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    cache.put(KEY, {"f": A})
    assert cache.get(KEY, 2) == {}
    other = cache_key(("a", "b"), "p")
    cache.put(other, {"f": np.array([0.5, 1])})  # type: ignore[dict-item]
    assert cache.get(other, 2) == {}


def test_equal_columns_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        VoteCache(tmp_path / name).put(KEY, {"f": A, "g": B})
    first, second = sorted(tmp_path.rglob("*.votes"))
    assert first.read_bytes() == second.read_bytes()
    assert first.name == second.name
