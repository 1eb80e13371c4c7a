"""The database opens once for all, writes whole transactions, and says what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select

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


@pytest.mark.parametrize(
    ("layout", "fix"),
    [
        ("99", "upgrade Gristmill"),
        (str(int(tables.SCHEMA_VERSION) + 1), "upgrade Gristmill"),
        ("x", "this is no database of Gristmill"),
    ],
)
def test_a_database_of_another_layout_is_refused(tmp_path: Path, layout: str, fix: str) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE settings SET value = ? WHERE name = 'schema'", [layout])
    with pytest.raises(
        StoreError, match=f"has layout '{layout}', this Gristmill reads '{tables.SCHEMA_VERSION}'"
    ) as caught:
        Database(path)
    assert fix in str(caught.value.fix)


TEXTS = ["décision", "決定 №1", "a\\b'c"]


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["UTF8", "SQL_ASCII"])
def test_texts_come_back_whatever_the_encoding_of_the_database(
    new_database: Callable[..., str], encoding: str
) -> None:
    url = new_database(encoding)
    for again in (url, f"{url}?client_encoding=latin1"):  # what a URL says of it is not heeded
        database = Database(again)
        with database.write() as connection:
            connection.execute(delete(tables.settings).where(tables.settings.c.name != "schema"))
            kept = [{"name": f"n{at}", "value": text} for at, text in enumerate(TEXTS)]
            connection.execute(insert(tables.settings), kept)
        assert names(database) == ["n0", "n1", "n2", "schema"]
        with database.read() as connection:
            query = select(tables.settings.c.value).order_by(tables.settings.c.name).limit(3)
            assert connection.execute(query).scalars().all() == TEXTS


@pytest.mark.postgres
def test_a_database_that_has_no_letters_for_a_text_says_so(
    new_database: Callable[..., str],
) -> None:
    database = Database(new_database("LATIN1"))
    with (
        pytest.raises(StoreError, match="has no equivalent") as caught,
        database.write() as connection,
    ):
        connection.execute(insert(tables.settings).values(name="x", value=TEXTS[1]))
    assert caught.value.fix == "use a database with the encoding UTF8"


def test_a_read_only_database_refuses_to_write(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    database = Database(path, read_only=True)
    assert names(database) == ["schema"]
    with pytest.raises(ReadOnlyError, match="open read-only"), database.write():
        pass


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "cannot understand the database URL"),
        ("postgresql+nosuch://host/name", "cannot understand the database URL"),
        ("mysql://host/name", "expected a PostgreSQL database, found mysql"),
    ],
)
def test_a_url_that_is_none_or_of_another_kind_is_refused_with_the_form(
    url: str, message: str
) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Database(url)
    assert "postgresql+psycopg://" in str(caught.value.fix)


def test_a_server_that_is_not_there_is_said_to_be_unreachable() -> None:
    with pytest.raises(StoreError, match="the database cannot be used") as caught:
        Database("postgresql+psycopg://mill@127.0.0.1:9/none?connect_timeout=2")
    assert caught.value.fix == "check that the database server runs and the URL is right"
