from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gristmill.core.errors import ReadOnlyError, StoreError, UsageError
from gristmill.store.project import Project
from gristmill.validate import FeatureSpec, Schema
from gristmill.validate.schemas.versions import (
    read_version,
    save_version,
    versions_of,
)

TEXT = '# ours\n[features.age]\ntype = "int"  # years\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_versions_are_numbered_and_keep_their_text(project: Project) -> None:
    first = save_version(project, "orders", TEXT, message="from May", author="ann")
    wider = Schema.parse(TEXT).features | {"tip": FeatureSpec(type="float")}
    second = save_version(project, "orders", Schema(features=wider))
    assert (first.version, first.parent, first.author) == (1, None, "ann")
    assert (second.version, second.parent) == (2, 1)
    assert read_version(project, "orders", 1) == first
    assert read_version(project, "orders", 1).text == TEXT
    assert read_version(project, "orders").schema.features == wider
    assert versions_of(project, "orders") == [first, second]
    assert save_version(project, "orders", TEXT, parent=1).parent == 1


def test_writers_at_once_lose_nothing(project: Project) -> None:
    with ThreadPoolExecutor(8) as pool:
        saved = list(
            pool.map(lambda i: save_version(project, "o", TEXT, message=str(i)), range(24))
        )
    assert sorted(version.version for version in saved) == list(range(1, 25))
    assert {version.message for version in versions_of(project, "o")} == {str(i) for i in range(24)}


def test_what_is_not_there_is_said(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="schema 'o' has no version in this project"):
        read_version(project, "o")
    save_version(project, "o", TEXT)
    with pytest.raises(UsageError, match="schema 'o' has no version 3 in this project"):
        read_version(project, "o", 3)
    with pytest.raises(UsageError, match=r"expected a name of letters.*found '\.\./x'"):
        save_version(project, "../x", TEXT)
    with pytest.raises(UsageError, match="unknown key 'feature'"):
        save_version(project, "o", "[feature.x]")
    (tmp_path / ".gristmill" / "schemas" / "o" / "0001.json").write_text("{")
    with pytest.raises(StoreError, match="this version of the schema is damaged"):
        read_version(project, "o")


def test_a_read_only_project_is_not_written(project: Project, tmp_path: Path) -> None:
    save_version(project, "o", TEXT)
    with pytest.raises(ReadOnlyError):
        save_version(Project(tmp_path, read_only=True), "o", TEXT)
