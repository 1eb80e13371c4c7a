"""Values become files and come back equal; what cannot is refused with advice."""

from __future__ import annotations

import dataclasses
import errno
import math
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import StoreError
from gristmill.store.codecs import decode, encode, told_by

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(one: object, two: object) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return one == two or (math.isnan(one) and math.isnan(two))
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, dict) and isinstance(two, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    return type(one) is type(two) and one == two


@given(value=plain)
def test_plain_data_comes_back_equal(
    value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("value")
    assert same(decode(encode(value, folder).codec, folder), value)


def test_a_table_comes_back_equal_and_writes_equal_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, 2, None], "b": ["x", "", None], "c": [[0.5], [], None]})
    halves = pl.concat([frame[:1], frame[1:]], rechunk=False)
    texts = []
    for name, table in (("one", frame), ("two", halves)):
        folder = tmp_path / name
        folder.mkdir()
        found = encode(table, folder)
        assert decode(found.codec, folder).equals(frame)  # type: ignore[attr-defined]
        assert (found.kind, found.rows) == ("table", 3)
        texts.append((folder / "table.parquet").read_bytes())
    assert texts[0] == texts[1]


def test_a_table_says_who_told_how_many_rows(tmp_path: Path) -> None:
    gold = pl.DataFrame({"label": ["a"] * 4, "annotator": ["ben", "anna", "anna", None]})
    assert encode(gold, tmp_path).summary["annotators"] == {"anna": 2, "ben": 1}
    (tmp_path / "group").mkdir()
    group = encode({"rows": gold.drop("annotator"), "gold": gold}, tmp_path / "group")
    assert told_by(group.summary) == {"anna": 2, "ben": 1}


def test_an_array_comes_back_equal(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int8).reshape(2, 3)
    found = encode(array, tmp_path)
    np.testing.assert_array_equal(decode(found.codec, tmp_path), array)
    assert found.summary == {"shape": [2, 3], "dtype": "int8"}


class Point(msgspec.Struct, frozen=True):
    x: int
    y: float


@dataclasses.dataclass(frozen=True)
class Pair:
    a: str
    b: list[int]


@pytest.mark.parametrize("value", [Point(1, 2.5), Pair("x", [1, 2])])
def test_structs_and_dataclasses_come_back_equal(tmp_path: Path, value: object) -> None:
    assert decode(encode(value, tmp_path).codec, tmp_path) == value


def test_a_group_of_kinds_comes_back_by_name(tmp_path: Path) -> None:
    value = {"frame": pl.DataFrame({"a": [1]}), "array": np.zeros(2), "plain": [1, {"x": None}]}
    found = decode(encode(value, tmp_path).codec, tmp_path)
    assert isinstance(found, dict)
    assert list(found) == ["frame", "array", "plain"]
    assert found["plain"] == [1, {"x": None}]
    assert found["frame"].equals(value["frame"])


def test_files_and_folders_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "made.txt"
    source.write_text("text")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    file = decode(encode(source, tmp_path / "one").codec, tmp_path / "one")
    assert isinstance(file, Path)
    assert file.read_text() == "text"
    folder = decode(encode(tmp_path / "one", tmp_path / "two").codec, tmp_path / "two")
    assert isinstance(folder, Path)
    assert (folder / "made.txt").read_text() == "text"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "its type is not known"),
        ({1: pl.DataFrame()}, "the key 1 is not a string"),
        (np.array([object()]), "its dtype is object"),
        (lambda: 1, "its type is not known"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_advice(
    tmp_path: Path, value: object, reason: str
) -> None:
    with pytest.raises(StoreError, match=reason) as caught:
        encode(value, tmp_path)
    assert "return a data frame" in str(caught.value.fix)


@pytest.mark.parametrize("codec", ["pickle", "object:os:system", "object:shutil:rmtree"])
def test_a_codec_that_is_not_ours_runs_nothing(tmp_path: Path, codec: str) -> None:
    with pytest.raises(StoreError):
        decode(codec, tmp_path)


def test_a_class_that_is_not_loaded_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="whose module is not loaded"):
        decode("object:antigravity:Anything", tmp_path)


def test_an_array_written_in_part_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object, **__: object) -> None:
        raise OSError("100 requested and 40 written")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(OSError, match="No space left on device") as caught:
        encode(np.zeros(100), tmp_path)
    assert caught.value.errno == errno.ENOSPC
