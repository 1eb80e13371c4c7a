"""Projects: found, opened, copied, locked, read-only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gristmill.core.errors import ReadOnlyError, StoreError, UsageError
from gristmill.store.project import Project, current_project, find_project, using
from gristmill.store.runs import RunLog


def test_a_project_is_found_from_a_folder_inside(tmp_path: Path) -> None:
    Project(tmp_path).database.close()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert find_project(inside).root == tmp_path


def test_without_a_project_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no project here") as caught:
        find_project(tmp_path)
    assert caught.value.fix == (
        "go to the project's folder, or start one with `gristmill init NAME`"
    )


def test_a_folder_that_is_not_there_is_not_looked_for_above(tmp_path: Path) -> None:
    Project(tmp_path).database.close()
    with pytest.raises(StoreError, match="there is no such folder"):
        find_project(tmp_path / "none")


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        Project(tmp_path / "nowhere")


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "gristmill.toml").write_text("databse = 'x'\n")
    with pytest.raises(UsageError, match="databse") as caught:
        Project(tmp_path)
    assert caught.value.fix == "known settings: name, database, artifacts, engine, jobs, monitor"


def test_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "gristmill.toml").write_text("name = 'spam'\n")
    assert Project(tmp_path).name == "spam"


def test_a_copy_opens_elsewhere_with_everything_in_it(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    with Project(first) as project:
        log = RunLog(project)
        log.start("p.py", {})
        digest = log.keep([1, 2, 3]).digest
    second = tmp_path / "second"
    shutil.copytree(first, second)
    shutil.rmtree(first)
    with Project(second, read_only=True) as copy:
        assert RunLog(copy).load(digest) == [1, 2, 3]
        assert len(RunLog(copy).runs()) == 1


def test_a_read_only_project_refuses_every_write(tmp_path: Path) -> None:
    with Project(tmp_path) as project:
        RunLog(project).start("p.py", {})
    with Project(tmp_path, read_only=True) as closed:
        with pytest.raises(ReadOnlyError, match="open read-only"):
            RunLog(closed).start("p.py", {})
        with pytest.raises(ReadOnlyError):
            closed.work_folder("x")


def test_reading_leaves_a_read_only_folder_as_it_was(tmp_path: Path) -> None:
    with Project(tmp_path) as project:
        RunLog(project).start("p.py", {})
    before = sorted(path.name for path in (tmp_path / ".gristmill").rglob("*"))
    with Project(tmp_path, read_only=True) as closed:
        assert len(RunLog(closed).runs()) == 1
    assert sorted(path.name for path in (tmp_path / ".gristmill").rglob("*")) == before


def test_the_current_project_is_the_one_in_use(tmp_path: Path) -> None:
    assert current_project() is None
    with using(Project(tmp_path)) as project:
        assert current_project() is project
    assert current_project() is None


def test_a_lock_shows_while_it_is_held(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert not project.is_locked("run-1")
    with project.lock("run-1"):
        assert project.is_locked("run-1")
    assert not project.is_locked("run-1")
    project.drop_lock("run-1")
    assert not project.is_locked("run-1")


def test_a_file_where_the_home_should_be(tmp_path: Path) -> None:
    (tmp_path / ".gristmill").touch()
    with pytest.raises(StoreError, match="expected the folder of a project, found a file"):
        Project(tmp_path)


def test_settings_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "gristmill.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(UsageError, match=r"gristmill\.toml: 'utf-8' codec can't decode byte 0xe9"):
        Project(tmp_path)


@pytest.mark.parametrize("body", [b"", b"no database" * 99])
def test_a_damaged_database_says_what_to_do(tmp_path: Path, body: bytes) -> None:
    with Project(tmp_path) as project:
        assert project.database
    (tmp_path / ".gristmill" / "store.db").write_bytes(body)
    with pytest.raises(StoreError, match="the database cannot be used") as caught:
        assert Project(tmp_path).database
    assert caught.value.where == str(tmp_path / ".gristmill" / "store.db")
    assert "put back a copy of it, or move it" in (caught.value.fix or "")
