"""A server that speaks S3, on this machine, for the tests of object stores."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from tests.ports import reserved_port

_PATIENCE_SECONDS = 120


class S3Server:
    """A process that answers as S3 does; what it keeps is gone with it."""

    def __init__(self) -> None:
        with reserved_port() as port:
            self.url = f"http://127.0.0.1:{port}"
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._wait()

    @property
    def environment(self) -> dict[str, str]:
        """What programs are to have in their environment to use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    def add_bucket(self, name: str) -> None:
        """Make a bucket."""
        self._put(name, b"")

    def put(self, place: str, data: bytes | Path) -> str:
        """Store an object at `bucket/key`; return its URL."""
        self._put(place, data.read_bytes() if isinstance(data, Path) else data)
        return f"s3://{place}"

    def stop(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.wait()

    def _put(self, place: str, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        request = Request(f"{self.url}/{place}", data, headers, method="PUT")
        with urlopen(request, timeout=_PATIENCE_SECONDS) as answer:
            answer.read()

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with urlopen(self.url, timeout=_PATIENCE_SECONDS):
                    return
            except URLError:
                if time.monotonic() > end or self._process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """The server of all tests."""
    pytest.importorskip("moto", reason="needs moto and Flask: pip install 'gristmill[dev]'")
    pytest.importorskip("obstore", reason="needs obstore: pip install 'gristmill[s3]'")
    server = S3Server()
    server.add_bucket("mill")
    yield server
    server.stop()


@pytest.fixture
def s3_server(s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server of all tests, which the environment names; it has the bucket `mill`."""
    for name, value in s3_process.environment.items():
        monkeypatch.setenv(name, value)
    return s3_process
