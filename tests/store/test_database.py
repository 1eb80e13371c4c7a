"""The database opens once for all, writes whole transactions, and says what is wrong."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from gristmill.core.errors import ReadOnlyError, StoreError
from gristmill.store import tables
from gristmill.store.database import Database

ROW = {"name": "x", "value": "1"}


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(select(tables.settings.c.name)).scalars())


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")

    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(tables.settings).values(ROW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(database) == ["schema"]


def test_the_log_is_set_once_and_folds_into_the_file_on_close(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(path)
    with database.write() as connection:
        connection.execute(insert(tables.settings).values(ROW))
    database.close()
    assert [item.name for item in tmp_path.iterdir()] == ["store.db"]
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_many_who_open_a_new_database_at_once_all_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def write(number: int) -> None:
        database = Database(path)
        with database.write() as connection:
            connection.execute(insert(tables.settings).values(name=f"n{number}", value=""))
        database.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert names(Database(path)) == sorted(["schema", *(f"n{number}" for number in range(8))])


def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StoreError):
        Database(path)


def test_a_database_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE settings SET value = '99' WHERE name = 'schema'")
    with pytest.raises(
        StoreError, match=f"has layout '99', this Gristmill reads '{tables.SCHEMA_VERSION}'"
    ):
        Database(path)


def test_a_read_only_database_refuses_to_write(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    database = Database(path, read_only=True)
    assert names(database) == ["schema"]
    with pytest.raises(ReadOnlyError, match="open read-only"), database.write():
        pass


@pytest.mark.parametrize("url", ["nonsense", "nosuch+driver://host/name"])
def test_a_url_that_cannot_be_understood_is_refused_with_the_form(url: str) -> None:
    with pytest.raises(StoreError, match="cannot understand the database URL") as caught:
        Database(url)
    assert "postgresql+psycopg://" in str(caught.value.fix)


def test_a_server_that_is_not_there_is_said_to_be_unreachable() -> None:
    with pytest.raises(StoreError, match="the database cannot be used") as caught:
        Database("postgresql+psycopg://mill@127.0.0.1:9/none?connect_timeout=2")
    assert caught.value.fix == "check that the database server runs and the URL is right"
