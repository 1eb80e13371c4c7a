"""Names and files of bundles: what counts as plain, and what is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import BundleError
from gristmill.store.bundle_files import (
    check_folder,
    check_names,
    entry_of,
    read_checked,
    read_plain,
)

MANIFEST = "manifest.json"


@pytest.mark.parametrize("name", ["a", "schema.toml", "a/b/c.txt", "A-1_2.x", "_notes/x"])
def test_plain_names(name: str) -> None:
    check_names([name], MANIFEST)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        ".hidden",
        "a/.hidden",
        "a\\b",
        "C:a",
        "a b",
        "a\n",
        "a\x00",
        "é",
        "~",
        "-rf",
        "x" * 201,
    ],
)
def test_names_that_are_not_plain(name: str) -> None:
    with pytest.raises(BundleError) as caught:
        check_names([name], MANIFEST)
    assert str(caught.value) == (
        f"{name!r}: expected a plain relative path of letters, digits and ._-/"
    )


@given(name=st.text(max_size=12))
def test_a_name_that_passes_stays_in_the_folder(name: str) -> None:
    try:
        check_names([name], MANIFEST)
    except BundleError:
        return
    root = Path("/bundles/one")
    assert (root / name).is_relative_to(root)
    assert ".." not in Path(name).parts


@pytest.mark.parametrize("names", [["a", "A"], [MANIFEST], ["Manifest.JSON"], ["n/a", "N/a"]])
def test_twins_are_refused_whatever_their_case(names: list[str]) -> None:
    with pytest.raises(BundleError) as caught:
        check_names(names, MANIFEST)
    assert str(caught.value) == f"{names[-1]}: the file is named twice"


def test_a_folder_of_exactly_its_files_passes(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / MANIFEST).write_bytes(b"{}")
    (tmp_path / "deep" / "er" / "a.txt").write_bytes(b"hello")
    files = {"deep/er/a.txt": entry_of(b"hello")}
    check_folder(tmp_path, files, manifest=MANIFEST)
    assert read_checked(tmp_path, "deep/er/a.txt", files["deep/er/a.txt"]) == b"hello"


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_bytes(b"hello")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / MANIFEST).write_bytes(b"{}")
    (bundle / "deep").symlink_to(outside)
    with pytest.raises(BundleError) as caught:
        check_folder(bundle, {"deep/a.txt": entry_of(b"hello")}, manifest=MANIFEST)
    assert str(caught.value) == "deep: expected a plain file or folder, found a link"


def test_pipes_and_folders_are_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(BundleError) as caught:
            read_plain(tmp_path, name, 10)
        assert str(caught.value) == f"{name}: expected a plain file, found something else"


def test_a_file_larger_than_allowed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_plain(tmp_path, "a", 5) == b"12345"
    with pytest.raises(BundleError) as caught:
        read_plain(tmp_path, "a", 4)
    assert str(caught.value) == "a: expected at most 4 bytes, found 5"
