"""A project: one folder with its database, its artifacts and its work in progress.

    my_project/
      pipeline.py            the user's code
      gristmill.toml         optional settings
      .gristmill/
        store.db             runs, lineage, registry (SQLite, unless a URL says otherwise)
        artifacts/           results, by content
        cache/               what can be computed again: vote columns, remote copies
        work/                steps in progress: checkpoints that a killed run goes on from
        locks/               one file per step key, held while the step runs

Copy it, synchronise it, open it read-only elsewhere: all paths inside are relative.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.closing import Closing
from gristmill.core.errors import ReadOnlyError, StoreError, UsageError

if TYPE_CHECKING:
    from gristmill.store.artifacts import Artifacts
    from gristmill.store.database import Database

HOME = ".gristmill"
SETTINGS = "gristmill.toml"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What `gristmill.toml` may say.

    Attributes:
        name: the project's name; the folder's name by default.
        database: URL of a database server; SQLite in the project's folder by default.
        artifacts: fsspec URL for artifacts; the project's folder by default.
        engine: what the pipelines of the project run on, as `open_engine` takes it.
        jobs: how many of their steps may run at the same time.
        monitor: how what is served is monitored, as `pipeline.monitoring.monitor_plan` reads it.
    """

    name: str = ""
    database: str = ""
    artifacts: str = ""
    engine: str = ""
    jobs: int = 1
    monitor: dict[str, Any] = {}


class Project(Closing):
    """An open project.

    Args:
        root: the project's folder.
        read_only: never write; a folder that can't be written opens this way by itself.

    Raises:
        UsageError: the folder does not exist, or `gristmill.toml` is wrong.
        StoreError: the project's database cannot be used.
    """

    def __init__(self, root: Path | str = ".", *, read_only: bool = False) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise UsageError("there is no such folder", where=str(root))
        if self.home.exists() and not self.home.is_dir():
            raise StoreError(
                "expected the folder of a project, found a file",
                where=str(self.home),
                fix="move that file away",
            )
        self.settings = _read_settings(self.root / SETTINGS)
        self.read_only = read_only or not _can_write(self.root)
        if self.read_only and not self.home.is_dir():
            raise StoreError("this folder holds no project", where=str(self.root))

    @property
    def home(self) -> Path:
        """The folder that holds everything Gristmill keeps of this project."""
        return self.root / HOME

    @property
    def name(self) -> str:
        """The project's name."""
        return self.settings.name or self.root.name

    @property
    def has_runs(self) -> bool:
        """Whether there is a database, so that looking into it makes none."""
        return bool(self.settings.database) or (self.home / "store.db").exists()

    @cached_property
    def database(self) -> Database:
        """The database, opened on first use."""
        from gristmill.store.database import Database

        target = self.settings.database or self.home / "store.db"
        if not self.read_only:
            self._prepare_home()
        return Database(target, read_only=self.read_only)

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifact store, opened on first use."""
        from gristmill.store.artifacts import open_artifacts

        location = self.settings.artifacts or self.home / "artifacts"
        return open_artifacts(location, self.home / "cache" / "artifacts")

    def work_folder(self, key: str) -> Path:
        """Return the folder where a step keeps its work in progress, made if need be."""
        return self._made("work", key)

    def cache_folder(self, name: str) -> Path:
        """Return a folder for what can be computed again, made if need be."""
        return self._made("cache", name)

    @contextmanager
    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
        """Hold a named lock of this project; another process that wants it waits.

        The lock belongs to the process: it is free as soon as the process is gone, killed or not.
        A process that is started with the descriptor that is yielded holds it as well.

        Args:
            name: what is locked.
            shared: whether others may hold it in this way, too; then those who want it alone wait.
            wait: whether to wait for who holds it.

        Raises:
            BlockingIOError: somebody holds it, and `wait` is false.
        """
        import fcntl

        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        with (self._made("locks") / name).open("a") as file:
            fcntl.flock(file, mode)
            yield file.fileno()

    def is_locked(self, name: str) -> bool:
        """Say whether some process holds a named lock."""
        import fcntl

        path = self.home / "locks" / name
        if not path.exists():
            return False
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def drop_lock(self, name: str) -> None:
        """Remove the file of a lock that nobody will ask for again."""
        (self.home / "locks" / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the database if it was opened."""
        if "database" in self.__dict__:
            self.database.close()

    def _made(self, *parts: str) -> Path:
        if self.read_only:
            raise ReadOnlyError("this project is open read-only", where=str(self.root))
        folder = self.home.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _prepare_home(self) -> None:
        ignore = self.home / ".gitignore"
        if ignore.exists():
            return
        try:
            write_atomic(ignore, b"*\n")
        except OSError as error:
            raise StoreError(
                f"the project's folder cannot be written: {error.strerror or error}",
                where=str(self.home),
                fix="free some space on that disk, or check who owns the folder",
            ) from error


_current: ContextVar[Project | None] = ContextVar("gristmill_project", default=None)


def current_project() -> Project | None:
    """Return the project whose pipeline is running, or None outside of one."""
    return _current.get()


@contextmanager
def using(project: Project) -> Iterator[Project]:
    """Make `project` the current one within the block."""
    token = _current.set(project)
    try:
        yield project
    finally:
        _current.reset(token)


def find_project(start: Path | str = ".") -> Project:
    """Open the project that holds `start`: the nearest folder upwards with a `.gristmill` folder.

    Raises:
        StoreError: `start` is not there, or no folder upwards is a project.
    """
    folder = Path(start).resolve()
    if not folder.exists():
        raise StoreError(
            "there is no such folder",
            where=str(folder),
            fix="name a folder of a project; left out, it is the one you are in",
        )
    for candidate in (folder, *folder.parents):
        if (candidate / HOME).is_dir():
            return Project(candidate)
    raise StoreError(
        "no project here or in any folder above",
        where=str(folder),
        fix="go to the project's folder, or start one with `gristmill init NAME`",
    )


def _read_settings(path: Path) -> Settings:
    if not path.exists():
        return Settings()
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        known = ", ".join(Settings.__struct_fields__)
        raise UsageError(str(error), where=str(path), fix=f"known settings: {known}") from error


def _can_write(folder: Path) -> bool:
    home = folder / HOME
    return os.access(home if home.is_dir() else folder, os.W_OK)
