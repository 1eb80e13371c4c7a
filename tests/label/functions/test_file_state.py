from __future__ import annotations

import os
from pathlib import Path

import pytest

from gristmill.label.functions import file_state as module
from gristmill.label.functions.file_state import file_state


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLED_SECONDS", -60.0)


@pytest.mark.usefixtures("settled")
def test_each_write_changes_it(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("one")
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    before = file_state(str(file))
    assert before == file_state(str(file))
    file.write_text("two")
    os.utime(file, ns=times)  # as a copy that keeps its times would have them
    assert file_state(str(file)) != before
    file.rename(tmp_path / "u.csv")
    (tmp_path / "t.csv").write_text("one")
    assert file_state(str(file)) != before


@pytest.mark.usefixtures("settled")
def test_what_is_no_file_has_none(tmp_path: Path) -> None:
    assert file_state("") is None
    assert file_state(str(tmp_path / "nothing")) is None


def test_a_file_written_a_moment_ago_has_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("one")
    assert file_state(str(tmp_path / "t.csv")) is None


def test_an_object_is_known_by_the_tag_of_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    class Store:
        info_of: dict[str, object]

        def info(self, path: str) -> dict[str, object]:
            return {"name": path, **self.info_of}

    store = Store()
    monkeypatch.setattr(
        "gristmill.data.remote_path.file_system", lambda url: (store, url.partition("://")[2])
    )
    store.info_of = {"ETag": '"ab"', "size": 3}
    assert file_state("s3://b/k") == ["s3://b/k", 3, '"ab"']
    store.info_of = {"size": 3}
    assert file_state("s3://b/k") is None
    del store.info_of  # the store cannot be asked
    assert file_state("s3://b/k") is None
