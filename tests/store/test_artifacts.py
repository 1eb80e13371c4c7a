"""Artifacts by content, on a disk and behind a URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.errors import StoreError
from gristmill.store.artifacts import INDEX, Artifacts, LocalArtifacts, check_files, open_artifacts


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
    (store.get(digest).parent / INDEX).unlink()
    assert not store.exists(digest)


@pytest.mark.parametrize("damage", ["change", "remove", "add"])
def test_a_damaged_artifact_is_found(tmp_path: Path, damage: str) -> None:
    store = open_artifacts(tmp_path / "artifacts", tmp_path / "cache")
    digest, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    folder = store.get(digest)
    check_files(folder.parent, digest)
    file = folder / "sub" / ("z" if damage == "add" else "x")
    file.unlink() if damage == "remove" else file.write_text("jello")
    with pytest.raises(StoreError, match=r"is damaged: file 'sub/[xz]'"):
        check_files(folder.parent, digest)


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
    assert (place / "files" / "sub" / "x").stat().st_ino == kept
    assert [path.name for path in place.parent.iterdir()] == [digest]


@pytest.mark.parametrize("index", ["", "{", "[]", '{"codec": "x", "files": {}}'])
def test_a_damaged_index_is_found(tmp_path: Path, index: str) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    digest, _ = store.put(make(tmp_path, "a", x="hello"), "path:x")
    (store.place(digest) / INDEX).write_text(index)
    with pytest.raises(StoreError, match=r"is damaged: its index 'artifact\.json' is not"):
        check_files(store.place(digest), digest)


def test_a_url_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"artifacts cannot be kept at 'foo://bar': .* Protocol not"
    ):
        open_artifacts("foo://bar", tmp_path)
