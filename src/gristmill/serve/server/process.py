"""A real server in a process of its own, for examples, tests and pipelines."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias, cast

import msgspec

from gristmill.core.errors import BundleError, GristmillError, ServeError, StoreError, UsageError
from gristmill.core.quantities import format_seconds
from gristmill.serve.client import Client
from gristmill.serve.protocol import Limits
from gristmill.serve.server.serving_plan import ServingPlan
from gristmill.serve.server.settings import Settings

Paths: TypeAlias = "Path | str | Mapping[str, Path | str]"

_ENTRY = "gristmill.cli.server_process"
"""Of the commands, above serving: there it is known who compares with training data."""

_KINDS: dict[str, type[GristmillError]] = {
    kind.__name__: kind for kind in (BundleError, ServeError, StoreError, UsageError)
}


class Launch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a server process is told: the arguments of `serve`; a plan comes before sources."""

    sources: dict[str, str]
    settings: Settings
    plan: ServingPlan | None = None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a server process says once, on its standard output: where it is, or why it is not."""

    url: str = ""
    kind: str = ""
    message: str = ""
    where: str | None = None
    fix: str | None = None


class ServerProcess:
    """A server in a subprocess; `running_server` starts and stops one.

    Attributes:
        url: where it answers.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process, self.url = process, url

    @classmethod
    def start(
        cls,
        sources: Paths | ServingPlan,
        settings: Settings | None = None,
        *,
        timeout: float = 300.0,
    ) -> ServerProcess:
        """Start a server and return once it takes requests; its log goes to this stderr.

        It ends when `stop` is called or when this process ends, however that comes about.

        Args:
            sources: what `serve` takes, by its path or name: a bundle's folder, `registry:MODEL`,
                a serving file; or several by the name that they are served under; or a plan.
            settings: where, how much, for whom.
            timeout: seconds in which it must be ready.

        Raises:
            BundleError, ServeError, StoreError, UsageError: what `serve` raised in the process.
            ServeError: it died, or was not ready after `timeout` seconds.
        """
        launch = _launch(sources, settings or Settings())
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", _ENTRY, msgspec.json.encode(launch).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            return cls(process, _await_report(process, timeout).url)
        except BaseException:
            _end(process, seconds=0)
            raise

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def client(self) -> Client:
        """A client of this server."""
        return Client(self.url)

    def stop(self, timeout: float = 20.0) -> int:
        """Ask the server to end, wait until it has answered what it holds, return its exit code.

        After `timeout` seconds it is killed. Calling this again returns the same code.
        """
        return _end(self._process, seconds=timeout)


@contextmanager
def running_server(
    sources: Paths | ServingPlan, settings: Settings | None = None, *, limits: Limits | None = None
) -> Iterator[ServerProcess]:
    """Serve bundles from a process of its own for the length of the block, on a free port.

    Args:
        sources: what `serve` takes, by its path or name: a bundle's folder, `registry:MODEL`, a
            serving file; or several by the name that they are served under; or a plan.
        settings: where, how much, for whom.
        limits: short for `Settings(limits=limits)`.

    Raises:
        BundleError, ServeError: as `ServerProcess.start`, or the server did not end with 0.
    """
    if limits is not None:
        settings = msgspec.structs.replace(settings or Settings(), limits=limits)
    server = ServerProcess.start(sources, settings)
    try:
        yield server
    except BaseException:
        server.stop()
        raise
    code = server.stop()
    if code != 0:
        raise ServeError(f"the server process ended with exit code {code}, expected 0")


def _launch(sources: Paths | ServingPlan, settings: Settings) -> Launch:
    if isinstance(sources, ServingPlan):
        return Launch({}, settings, sources)
    if isinstance(sources, Mapping):
        return Launch({name: str(source) for name, source in sources.items()}, settings)
    return Launch({"": str(sources)}, settings)


def _await_report(process: subprocess.Popen[bytes], timeout: float) -> Report:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    out = cast(IO[bytes], process.stdout)  # there is one: a pipe was asked for
    threading.Thread(target=lambda: lines.put(out.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=timeout)
    except queue.Empty:
        raise ServeError(f"the server was not ready after {format_seconds(timeout)}") from None
    try:
        report = msgspec.json.decode(line, type=Report)
    except msgspec.DecodeError:
        code = process.wait()
        raise ServeError(
            f"the server process ended with exit code {code} before it was ready",
            fix="its standard error says why",
        ) from None
    if report.kind:
        kind = _KINDS.get(report.kind, ServeError)
        raise kind(report.message, where=report.where, fix=report.fix)
    return report


def _end(process: subprocess.Popen[bytes], seconds: float) -> int:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    return process.returncode
