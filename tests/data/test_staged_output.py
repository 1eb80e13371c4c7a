"""Outputs under URLs: stored whole, or kept here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.s3_server import S3Server

from gristmill.core.errors import DataError, UsageError
from gristmill.data.remote_path import RemotePath
from gristmill.data.staged_output import MANIFEST, staged, staging_place

PARTS = [f"part-{number:08d}.parquet" for number in range(3)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory() -> Iterator[RemotePath]:
    import fsspec

    yield RemotePath("memory://mill/out")
    fsspec.filesystem("memory").store.clear()


def test_a_path_is_where_it_is(tmp_path: Path) -> None:
    with staged(tmp_path / "a.csv") as place:
        assert place == tmp_path / "a.csv"


def test_a_file_and_what_is_beside_it(memory: RemotePath, cache: Path) -> None:
    with staged(str(memory / "bad.csv")) as place:
        assert place.name == "bad.csv"
        place.write_bytes(b"1")
        place.with_name("bad.unreadable.csv").write_bytes(b"2")
        place.with_name(".bad.csv.parts").mkdir()
        assert memory.files() == []
    assert {file.name: file.read_bytes() for file in memory.files()} == {
        "bad.csv": b"1", "bad.unreadable.csv": b"2"
    }  # fmt: skip
    assert not any(path.is_file() for path in cache.rglob("*"))


def store(memory: RemotePath, names: list[str]) -> None:
    with staged(str(memory)) as place:
        place.mkdir()
        for name in names:
            (place / name).write_text(name)


def test_a_folder_is_there_with_its_manifest(memory: RemotePath) -> None:
    store(memory, PARTS)
    store(memory, PARTS[:2])
    assert [file.name for file in memory.files()] == [MANIFEST, *PARTS[:2]]
    told = json.loads((memory / MANIFEST).read_bytes())
    assert told == {"files": dict.fromkeys(PARTS[:2], len(PARTS[0]))}


def test_what_was_cut_short_has_no_manifest(
    memory: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(memory, PARTS)
    stored = RemotePath.put

    def refused(self: RemotePath, file: Path) -> None:
        if self.name == PARTS[1]:
            raise DataError("the store does not answer", where=self.url, fix="run it again")
        stored(self, file)

    with monkeypatch.context() as patch:
        patch.setattr(RemotePath, "put", refused)
        with pytest.raises(DataError, match="does not answer") as caught:
            store(memory, PARTS)
    assert [file.name for file in memory.files()] == PARTS[:1]
    kept = staging_place(str(memory))
    assert str(caught.value.fix) == f"run it again; until then all is in {kept.parent}"
    assert sorted(path.name for path in kept.iterdir()) == PARTS


def test_other_things_are_left_alone(memory: RemotePath) -> None:
    (memory / "notes.txt").write_bytes(b"mine")
    with (
        pytest.raises(UsageError, match=r"or one of parts, found 'notes.txt' in it"),
        staged(str(memory)),
    ):
        raise AssertionError
    assert [file.name for file in memory.files()] == ["notes.txt"]


def test_what_raises_stores_nothing_and_stays_here(memory: RemotePath, cache: Path) -> None:
    url = str(memory / "a.csv")

    def fail(text: str) -> None:
        with staged(url) as place:
            if text:
                place.write_text(text)
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail("")
    assert not staging_place(url).parent.exists()
    with pytest.raises(ValueError, match="half"):
        fail("1,")
    assert staging_place(url).read_text() == "1,"
    assert memory.files() == []


@pytest.mark.s3
@pytest.mark.xdist_group("s3")
class TestS3:
    def test_a_large_file_goes_up_in_parts_that_become_one(
        self, s3_server: S3Server, tmp_path: Path
    ) -> None:
        data = bytes(range(256)) * (12 << 12)
        url = f"s3://mill/{tmp_path.name}/large.bin"
        with staged(url) as place:
            place.write_bytes(data)
        assert RemotePath(url).read_bytes() == data
        assert [file.name for file in RemotePath(f"s3://mill/{tmp_path.name}").files()] == [
            "large.bin"
        ]

    def test_a_bucket_that_is_not_there_is_told_before_the_work(self, s3_server: S3Server) -> None:
        with pytest.raises(DataError, match="no such file or bucket"), staged("s3://none/a.csv"):
            raise AssertionError
