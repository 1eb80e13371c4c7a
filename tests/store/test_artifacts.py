"""Artifacts by content, on a disk and behind a URL."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gristmill.core.errors import StoreError
from gristmill.core.fingerprint import fingerprint
from gristmill.store.artifacts import (
    Artifacts,
    LocalArtifacts,
    check_content,
    index_of,
    open_artifacts,
)


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "local":
        return open_artifacts(tmp_path / "artifacts", tmp_path / "cache")
    return open_artifacts(f"memory://{tmp_path.name}", tmp_path / "cache")


def make(tmp_path: Path, name: str, **files: str) -> Path:
    folder = tmp_path / name
    (folder / "sub").mkdir(parents=True)
    for key, text in files.items():
        (folder / "sub" / key).write_text(text)
    return folder


def value(tmp_path: Path, name: str, text: str = "[1]") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "value.json").write_text(text)
    return folder


def index_beside(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def as_stored_before(store: LocalArtifacts, folder: Path, codec: str) -> str:
    """Store files as earlier versions did: index and files in a folder."""
    index = index_of(folder, codec)
    digest = fingerprint(index)
    place = store.place(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, place / "files")
    (place / "artifact.json").write_text(json.dumps(index))
    return digest


def test_equal_content_is_one_artifact(store: Artifacts, tmp_path: Path) -> None:
    one, bytes_ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    two, _ = store.put(make(tmp_path, "b", x="hello"), "path:x")
    assert one == two
    assert bytes_ == 5
    assert (store.get(one) / "sub" / "x").read_text() == "hello"


@pytest.mark.parametrize("files", [{"x": "other"}, {"y": "hello"}, {"x": "hello", "y": ""}])
def test_other_content_is_another_artifact(
    store: Artifacts, tmp_path: Path, files: dict[str, str]
) -> None:
    one, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    two, _ = store.put(make(tmp_path, "b", **files), "path:x")
    assert one != two


def test_a_missing_artifact_is_an_error_with_a_remedy(store: Artifacts) -> None:
    assert not store.exists("0" * 32)
    with pytest.raises(StoreError, match="artifact 000000000000 is not in the store"):
        store.get("0" * 32)


def test_a_folder_without_its_index_does_not_exist(tmp_path: Path) -> None:
    store = open_artifacts(tmp_path / "artifacts", tmp_path / "cache")
    digest, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    index_beside(store.get(digest)).unlink()
    assert not store.exists(digest)


@pytest.mark.parametrize("damage", ["change", "remove", "add"])
def test_a_damaged_artifact_is_found(tmp_path: Path, damage: str) -> None:
    store = open_artifacts(tmp_path / "artifacts", tmp_path / "cache")
    digest, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    folder = store.get(digest)
    check_content(folder, digest)
    file = folder / "sub" / ("z" if damage == "add" else "x")
    file.unlink() if damage == "remove" else file.write_text("jello")
    with pytest.raises(StoreError, match=r"is damaged: file 'sub/[xz]'"):
        check_content(folder, digest)


def test_a_remote_artifact_comes_down_whole_and_checked(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}-shared"
    digest, _ = open_artifacts(url, tmp_path / "one").put(make(tmp_path, "a", x="hi"), "path:x")
    other = open_artifacts(url, tmp_path / "two")
    assert (other.get(digest) / "sub" / "x").read_text() == "hi"


def test_a_remote_artifact_that_was_changed_is_refused(tmp_path: Path) -> None:
    import fsspec

    url = f"memory://{tmp_path.name}-changed"
    digest, _ = open_artifacts(url, tmp_path / "one").put(make(tmp_path, "a", x="hi"), "path:x")
    files, root = fsspec.core.url_to_fs(url)
    files.pipe_file(f"{root}/{digest[:2]}/{digest}/files/sub/x", b"ho")
    other = open_artifacts(url, tmp_path / "two")
    with pytest.raises(StoreError, match="damaged"):
        other.get(digest)
    assert not (tmp_path / "two" / digest[:2] / digest).exists()


def test_the_files_of_an_artifact_are_what_was_put_and_nothing_else(
    store: Artifacts, tmp_path: Path
) -> None:
    digest, _ = store.put(make(tmp_path, "a", x="hello", y="you"), "path:x")
    found = sorted(path.relative_to(store.get(digest)).as_posix()
                   for path in store.get(digest).rglob("*"))  # fmt: skip
    assert found == ["sub", "sub/x", "sub/y"]


def test_two_that_put_the_same_at_once_never_leave_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    digest, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    kept = (store.get(digest) / "sub" / "x").stat().st_ino
    place, looks = store.place(digest), iter([False])
    monkeypatch.setattr(store, "exists", lambda _: next(looks))  # looked before the other was done
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert store.put(make(tmp_path, "b", x="hello"), "path:x")[0] == digest
    assert (place / "sub" / "x").stat().st_ino == kept
    assert sorted(path.name for path in place.parent.iterdir()) == [digest, f"{digest}.json"]


@pytest.mark.parametrize("index", ["", "{", "[]", '{"codec": "x", "files": {}}'])
def test_a_damaged_index_is_found(tmp_path: Path, index: str) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    digest, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    index_beside(store.place(digest)).write_text(index)
    with pytest.raises(StoreError, match=rf"is damaged: its index '{digest}\.json' is not"):
        check_content(store.place(digest), digest)


def test_a_url_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"artifacts cannot be kept at 'foo://bar': .* Protocol not"
    ):
        open_artifacts("foo://bar", tmp_path)


@pytest.mark.parametrize("codec", ["json", "struct:m:C"])
def test_a_value_of_one_file_has_no_folder(tmp_path: Path, codec: str) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    digest, _ = store.put(value(tmp_path, "a"), codec)
    content = store.get(digest)
    assert content.read_text() == "[1]"
    check_content(content, digest)
    assert sorted(path.name for path in content.parent.iterdir()) == [digest, f"{digest}.json"]
    content.write_text("[2]")
    with pytest.raises(StoreError, match=r"is damaged: file 'value\.json'"):
        check_content(content, digest)
    content.unlink()
    assert not store.exists(digest)
    assert store.put(value(tmp_path, "b"), codec)[0] == digest
    check_content(store.get(digest), digest)
    store.remove([digest])
    assert list(store.stored()) == []
    assert list(content.parent.iterdir()) == []


def test_a_value_of_one_file_goes_up_and_comes_down(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}-one"
    digest, _ = open_artifacts(url, tmp_path / "one").put(value(tmp_path, "a"), "json")
    other = open_artifacts(url, tmp_path / "two")
    assert other.get(digest).read_text() == "[1]"
    check_content(other.get(digest), digest)
    assert [each.digest for each in other.stored()] == [digest]


def test_artifacts_of_earlier_versions_are_read_checked_and_removed(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    old = {
        as_stored_before(store, make(tmp_path, "a", x="hello"), "path:x"): "path:x",
        as_stored_before(store, value(tmp_path, "b"), "json"): "json",
    }
    for digest, codec in old.items():
        content = store.get(digest)
        check_content(content, digest)
        assert fingerprint(index_of(content, codec)) == digest
    assert {each.digest for each in store.stored()} == set(old)
    assert store.put(value(tmp_path, "c"), "json")[0] in old  # is not stored anew
    for digest in old:
        file = next(path for path in store.get(digest).rglob("*") if path.is_file())
        file.write_text("other")
        with pytest.raises(StoreError, match="is damaged: file"):
            check_content(store.get(digest), digest)
    store.remove(list(old))
    assert list(store.stored()) == []


@pytest.mark.parametrize("old_form", [True, False])
@pytest.mark.parametrize("one_file", [True, False])
def test_a_ruin_is_replaced(tmp_path: Path, old_form: bool, one_file: bool) -> None:
    """What a kill in the midst of storing or removing leaves."""
    store = LocalArtifacts(tmp_path / "artifacts")
    codec = "json" if one_file else "path:x"
    sources = [
        value(tmp_path, name) if one_file else make(tmp_path, name, x="hello") for name in "ab"
    ]
    if old_form:
        digest = as_stored_before(store, sources[0], codec)
        (store.place(digest) / "artifact.json").unlink()
    else:
        digest, _ = store.put(sources[0], codec)
        index_beside(store.place(digest)).unlink()
        if not one_file:
            (store.place(digest) / "sub" / "x").unlink()
    assert not store.exists(digest)
    assert [each.digest for each in store.stored()] == [digest]
    assert store.put(sources[1], codec)[0] == digest
    check_content(store.get(digest), digest)
