"""Tables in object stores, read from a server that speaks S3 on this machine."""

from __future__ import annotations

import gzip
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.s3_server import S3Server

from gristmill.core.errors import DataError, UsageError
from gristmill.data import open_stream, read_table
from gristmill.data.file_part import file_parts
from gristmill.data.remote_path import RemotePath
from gristmill.data.store_errors import store_error
from gristmill.engine import LocalProcesses

S3 = [pytest.mark.s3, pytest.mark.xdist_group("s3")]


@pytest.fixture
def table() -> pl.DataFrame:
    return pl.DataFrame({"n": range(500), "t": [f"text, {i}" for i in range(500)]})


@pytest.fixture
def memory() -> Iterator[str]:
    import fsspec

    yield "memory://mill/a.csv"
    fsspec.filesystem("memory").store.clear()


def write(url: str, data: bytes) -> None:
    import fsspec

    with fsspec.open(url, "wb") as file:
        file.write(data)


def whole(data, **options) -> pl.DataFrame:
    parts = pickle.loads(pickle.dumps(file_parts(data, **options)))
    return pl.concat(part.read() for part in parts)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow", "csv.gz"])
def test_any_store_that_fsspec_knows(memory, table, tmp_path, suffix):
    url = memory.replace("csv", suffix)
    data = stored(table, tmp_path, suffix)
    write(url, data)
    (tmp_path / "b").mkdir()
    (local := tmp_path / "b" / f"a.{suffix}").write_bytes(data)
    expected = pl.concat(open_stream(local).parts())
    assert_frame_equal(pl.concat(open_stream(url).parts()), expected)
    assert_frame_equal(whole(url, rows=70), expected)
    assert_frame_equal(read_table(url), read_table(local))


def stored(table: pl.DataFrame, folder, suffix: str) -> bytes:
    writers = {
        "csv": pl.DataFrame.write_csv, "jsonl": pl.DataFrame.write_ndjson,
        "parquet": lambda frame, path: frame.write_parquet(path, row_group_size=100),
        "arrow": pl.DataFrame.write_ipc, "csv.gz": pl.DataFrame.write_csv,
    }  # fmt: skip
    writers[suffix](table, path := folder / "written")
    data = path.read_bytes()
    return gzip.compress(data) if suffix.endswith(".gz") else data


def test_file_urls_are_files(tmp_path, table):
    table.write_csv(path := tmp_path / "a.csv")
    assert_frame_equal(whole(f"file://{path}"), whole(path))


def test_what_no_package_reads():
    with pytest.raises(UsageError) as error:
        open_stream("nowhere://a/b.csv")
    assert str(error.value).startswith(
        "nowhere://a/b.csv: nothing is installed that reads nowhere:"
    )


def test_an_absent_and_an_empty_object(memory):
    with pytest.raises(DataError, match="there is no such file or bucket"):
        open_stream(memory)
    with pytest.raises(DataError, match="no file fits the pattern"):
        open_stream("memory://mill/*.csv")
    write(memory, b"")
    with pytest.raises(DataError, match=r"the file is empty \(0 bytes\)"):
        open_stream(memory)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("no"), "access is denied"),
        (RuntimeError("status 403 Forbidden"), "access is denied"),
        (FileNotFoundError("a"), "there is no such file or bucket"),
        (RuntimeError("status code: 404 Not Found"), "there is no such file or bucket"),
        (OSError("refused\nand more"), "the store does not answer: refused"),
        (TimeoutError(), "the store does not answer: TimeoutError"),
    ],
)
def test_what_stores_say(error, message):
    assert store_error("s3://a/b", error).message == message


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("s3://a/b", "set AWS_ACCESS_KEY_ID, "),
        ("gs://a/b", "set GOOGLE_APPLICATION_CREDENTIALS here"),
        ("az://a/b", "set the variables of its package here"),
    ],
)
def test_each_store_has_credentials_of_its_own(url, variable):
    found = store_error(url, RuntimeError("asked http://metadata.google.internal/token"))
    assert found.message == "there are no credentials for this store"
    assert found.fix.startswith(variable)
    absent = store_error(url, FileNotFoundError())
    assert absent.fix.endswith("AWS_ENDPOINT_URL where one is set") == url.startswith("s3:")


class TestS3:
    pytestmark = S3

    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow", "csv.gz"])
    def test_tables_are_those_of_files(self, s3_server, table, tmp_path, suffix):
        data = stored(table, tmp_path, suffix)
        url = s3_server.put(f"mill/tables/a.{suffix}", data)
        (local := tmp_path / f"a.{suffix}").write_bytes(data)
        assert_frame_equal(whole(url, rows=70), whole(local, rows=70))

    def test_patterns_are_looked_up_in_the_bucket(self, s3_server, table):
        for name, part in [("b", table[200:]), ("a", table[:200])]:
            s3_server.put(f"mill/many/{name}.csv", part.write_csv().encode())
        parts = file_parts("s3://mill/many/*.csv")
        assert [part.rows for part in parts] == [200, 300]
        assert pl.concat(part.read(["n"]) for part in parts)["n"].to_list() == list(range(500))

    def test_workers_read_their_parts_themselves(self, s3_server, table, tmp_path):
        url = s3_server.put("mill/w.parquet", stored(table, tmp_path, "parquet"))
        parts = file_parts(url, rows=100)
        assert max(len(pickle.dumps(part)) for part in parts) < 1000
        with LocalProcesses(1) as engine:
            heads = list(engine.map(first_number, parts))
        assert heads == [0, 100, 200, 300, 400]

    def test_only_the_bytes_that_are_wanted_are_asked_for(self, s3_server, monkeypatch):
        url = s3_server.put("mill/large.csv", b"n,t\n" + b"1,abcdefgh\n" * 100_000)
        asked = []
        with RemotePath(url).open(buffering=0) as file:
            read = file._files.cat_file
            monkeypatch.setattr(
                file._files,
                "cat_file",
                lambda path, start, end: (
                    asked.append(end - start) or read(path, start=start, end=end)
                ),
            )
            file.seek(4 + 11 * 50_000)
            assert file.read(11) == b"1,abcdefgh\n"
        assert asked == [11]

    def test_a_bucket_that_is_not_there(self, s3_server):
        with pytest.raises(DataError) as error:
            file_parts("s3://none/a.parquet")
        assert str(error.value).startswith("s3://none/a.parquet: there is no such file or bucket")

    def test_access_denied(self, s3_server, denying):
        with pytest.raises(DataError) as error:
            file_parts("s3://mill/a.parquet")
        assert str(error.value).startswith("s3://mill/a.parquet: access is denied")

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_a_server_that_goes_in_the_middle(
        self, s3_server, monkeypatch, table, tmp_path, suffix
    ):
        server = S3Server()
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        try:
            server.add_bucket("brief")
            url = server.put(f"brief/a.{suffix}", stored(table, tmp_path, suffix))
            first, *_ = file_parts(url)
        finally:
            server.stop()
        with pytest.raises(DataError) as error:
            first.read()
        assert error.value.message.startswith("the store does not answer")
        assert str(error.value.where).startswith(url)


@pytest.fixture
def denying(monkeypatch) -> Iterator[None]:
    """A store that lets nobody in."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(403)
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815

        def log_message(self, *_):
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def first_number(part) -> int:
    return part.read(["n"])["n"][0]
