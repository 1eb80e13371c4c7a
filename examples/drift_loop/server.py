"""`gristmill serve` as a process that lives by the replay's clock, and what is asked of it."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shifted_time import ShiftedTime
from traffic import LIVE

from gristmill.core.errors import ServeError
from gristmill.serve import Client
from gristmill.serve.watch.kept_predictions import kept_predictions

_PATIENCE = 60.0
_LOOK = 0.1
_SAMPLED_ANEW = 1.0
"""Seconds between two samples of what is served that are taken because somebody asks."""


@contextmanager
def server(folder: Path, clock: ShiftedTime, begin: dt.datetime) -> Iterator[Client]:
    """Serve a project's serving file for the length of the block, on a free port.

    Its log goes to `server.log` in the folder. It is stopped however the block ends.

    Args:
        folder: of the project.
        clock: what it lives by.
        begin: the moment at which it starts.

    Raises:
        ServeError: it did not start.
    """
    clock.set(begin)
    command = [sys.executable, "-m", "gristmill", "serve", "serving.toml", "--port", "0", "--json"]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            command, cwd=folder, env=clock.environment, stdout=subprocess.PIPE, stderr=log
        )
    try:
        yield Client(_address(process, folder))
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], folder: Path) -> str:
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        last = (folder / "server.log").read_text(errors="replace").strip()[-500:]
        raise ServeError(f"the server did not start: {last}", where=str(folder / "server.log"))
    return str(json.loads(line)["url"])


def settled(client: Client, folder: Path, rows: int) -> None:
    """Return once the server has written down what it served.

    Args:
        client: of the server.
        folder: where it keeps what the live model answers.
        rows: how many rows that are by now.

    Raises:
        ServeError: it has not after a minute.
    """
    _await(
        lambda: sum(1 for _ in kept_predictions(folder)) >= rows,
        f"the server did not write down the {rows:,} rows that it served",
    )
    time.sleep(_SAMPLED_ANEW)
    client.request("GET", "/v1/drift")


def followed(client: Client, before: str) -> None:
    """Return once the server answers with another version than before.

    Raises:
        ServeError: it does not after a minute.
    """
    _await(
        lambda: live_version(client) != before,
        "the server did not follow the registry",
    )


def live_version(client: Client) -> str:
    """Return the fingerprint of the bundle that answers."""
    models: list[dict[str, Any]] = json.loads(client.request("GET", "/v1/models"))["models"]
    return str(next(each["fingerprint"] for each in models if each["name"] == LIVE))


def _await(happened: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise ServeError(otherwise, fix="see server.log")
        time.sleep(_LOOK)
