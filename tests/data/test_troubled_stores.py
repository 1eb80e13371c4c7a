"""What users read when a store refuses, is silent, or is none; and that the process ends well."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.data.troubled_store import (
    BUSY,
    DENIED,
    EXPIRED,
    NO_STORE,
    SILENT,
    Trouble,
    TroubledStore,
)
from tests.s3_server import S3Server

from gristmill.core.errors import DataError, UsageError
from gristmill.data import object_store, open_stream, remote_path, store_calls
from gristmill.data.file_part import file_parts
from gristmill.data.remote_path import RemotePath
from gristmill.data.staged_output import staged
from gristmill.data.store_calls import interruptible, watched
from gristmill.data.store_errors import store_error

S3 = [pytest.mark.s3, pytest.mark.xdist_group("s3")]
REFUSED = """Generic S3 error: Error performing HEAD http://127.0.0.1:9/mill/t in 1.87317835s, \
after 10 retries, max_retries: 10, retry_timeout: 60s  - HTTP error: error sending request

Debug source:
Generic { source: Os { code: 111, kind: ConnectionRefused, message: "Connection refused" } }"""
BY_POLARS = """object-store error: Generic S3 error: Error performing GET http://h:9/mill/t in \
3.43s, after 8 retries, max_retries: 8, retry_timeout: 30s  - HTTP error: error sending request \
(path: s3://mill/t)

Caused by:
    0: client error (Connect)
    1: tcp connect error
    2: Connection refused (os error 111)"""
NO_ROLE = """Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in \
5.1s, after 3 retries, max_retries: 10, retry_timeout: 60s  - HTTP error: error sending request"""
ELSEWHERE = """Generic S3 error: Received redirect without LOCATION, this normally indicates an \
incorrectly configured region"""


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            REFUSED,
            "the store does not answer: Connection refused, 11 times in 1.87 s "
            "(http://127.0.0.1:9/mill/t)",
        ),
        (
            BY_POLARS,
            "the store does not answer: Connection refused (os error 111), 9 times in 3.43 s "
            "(http://h:9/mill/t)",
        ),
        (NO_ROLE, "there are no credentials for this store"),
        (ELSEWHERE, "the store refuses the request: a redirect"),
    ],
    ids=["refused", "polars", "no-credentials", "region"],
)
def test_reasons_are_told_in_few_words(said: str, message: str) -> None:
    assert store_error("s3://mill/t", RuntimeError(said)).message == message


@pytest.fixture
def store(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[TroubledStore]:
    """A store with a table of ten row groups, of which its `table` tells; it is well."""
    table = pl.DataFrame({"n": range(1000)})
    table.write_parquet(tmp_path / "t.parquet", row_group_size=100)
    url = s3_server.put(f"mill/{tmp_path.name}.parquet", tmp_path / "t.parquet")
    monkeypatch.setattr(object_store, "_RETRIES", {"max_retries": 1})
    remote_path._object_store.cache_clear()
    with TroubledStore(s3_server.url, url) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()
    remote_path._object_store.cache_clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Wait a second for an answer, which a store that is well must then give as well."""

    def be() -> None:
        monkeypatch.setattr(object_store, "_ANSWER", timedelta(seconds=1))
        monkeypatch.setattr(store_calls, "_PATIENCE_SECONDS", 0.3)

    return be


def cut(url: str) -> object:
    return file_parts(url, rows=100)


def streamed(url: str) -> object:
    return list(open_stream(url).parts())


def written(_: str) -> None:
    with staged("s3://mill/answers") as place:
        place.mkdir()
        (place / "part-0.csv").write_text("a\n")


@pytest.mark.parametrize("work", [cut, streamed, written])
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (EXPIRED, r"the store refuses the request: 400 Bad Request|\(ExpiredToken\)"),
        (DENIED, "access is denied"),
        (BUSY, r"the store does not answer: 503 Service Unavailable, 2 times in .* \(http://"),
        (NO_STORE, "what answers does not speak as such a store does: "),
        (SILENT, r"the store does not answer: timed out, 2 times in .* m?s \(http://"),
    ],
    ids=["expired", "denied", "busy", "none", "silent"],
)
class TestFromTheFirstRequestOnAndFromALaterOne:
    pytestmark = S3

    @pytest.mark.parametrize("after", [0, 2])
    def test_it_is_said(
        self,
        store: TroubledStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        impatient: Callable[[], None],
        work: Callable[[str], object],
        trouble: Trouble,
        message: str,
        after: int,
    ) -> None:
        monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
        if trouble is SILENT:
            impatient()
        store.fall_ill(trouble, after)
        with pytest.raises(DataError, match=message) as error:
            work(store.table)
        assert error.value.where.startswith("s3://mill/")
        assert error.value.fix


class TestPolarsReads:
    pytestmark = S3

    def read(self, store: TroubledStore, trouble: Trouble, message: str) -> None:
        part = file_parts(store.table, rows=100)[3]
        before = store.requests
        assert part.read()["n"].to_list() == list(range(300, 400))
        # The last of its requests is Polars' own, for the rows.
        store.fall_ill(trouble, after=store.requests - before - 1)
        with pytest.raises(DataError, match=message) as error:
            part.read()
        assert error.value.where.startswith(store.table)

    def test_credentials_that_expire(self, store: TroubledStore) -> None:
        self.read(store, EXPIRED, r"the credentials have expired \(ExpiredToken\)")

    def test_a_store_that_falls_silent(
        self, store: TroubledStore, impatient: Callable[[], None]
    ) -> None:
        """Polars itself would wait for ever."""
        impatient()
        self.read(store, SILENT, "the store does not answer: timed out, 2 times")

    def test_a_store_that_is_slow_is_waited_for(
        self, store: TroubledStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_calls, "_PATIENCE_SECONDS", 0.3)
        gate = threading.Event()
        before = store.requests
        asked: list[int] = []

        def read() -> int:
            while store.requests < before + 2:  # it has been looked after twice
                asked.append(store.requests)
                gate.wait(0.05)
            return 7

        assert watched(read, RemotePath(store.table)) == 7
        assert watched(threading.current_thread, None) is threading.current_thread()

    def test_its_own_errors_come_as_they_are(self) -> None:
        def read() -> None:
            raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            watched(read, RemotePath("s3://mill/t.parquet"))


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """obstore would panic."""
    pytest.importorskip("obstore")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(UsageError) as error:
        RemotePath("s3://mill/a.csv").exists()
    assert error.value.message == (
        "expected the address of a server in AWS_ENDPOINT_URL, found 'minio:9000'"
    )


class _RungError(Exception):
    """What the bell's handler raises."""


def test_signals_come_through() -> None:
    """What waits outside of Python would keep Ctrl-C until it ends."""

    def ring(*_: object) -> None:
        raise _RungError

    gate, main = threading.Event(), threading.main_thread()

    def call() -> None:
        if threading.current_thread() is main:
            return
        while "result" not in running(main):
            gate.wait(0.01)
        signal.pthread_kill(main.ident or 0, signal.SIGUSR1)  # it is the one that waits
        gate.wait()

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with pytest.raises(_RungError):
            interruptible(call)
    finally:
        signal.signal(signal.SIGUSR1, before)
        gate.set()


def running(thread: threading.Thread) -> list[str]:
    """Return the names of the functions that a thread is in."""
    frame = sys._current_frames()[thread.ident or 0]
    return [each.name for each in traceback.extract_stack(frame, limit=8)]


class TestTheEnd:
    pytestmark = S3

    def test_nothing_runs_on(self, s3_server: S3Server) -> None:
        """A thread that needed Python once more aborted one process in twenty at its end."""
        url = s3_server.put("mill/end.txt", b"x")
        script = (
            "import sys, threading\n"
            "from gristmill.data.remote_path import RemotePath\n"
            "size = RemotePath(sys.argv[1]).stat().st_size\n"
            "others = set(threading.enumerate()) - {threading.main_thread()}\n"
            "for each in others:\n    each.join(60)\n"
            "print(size, any(each.is_alive() for each in others))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, url], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "1 False\n"), done.stderr
