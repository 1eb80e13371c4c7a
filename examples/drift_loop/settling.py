"""What is asked of the running server beside predictions: whether it has come to rest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traffic import LIVE

from gristmill.core.errors import ServeError
from gristmill.serve import Client
from gristmill.serve.watch.kept_predictions import kept_predictions

_PATIENCE = 60.0
_LOOK = 0.1
_SAMPLED_ANEW = 1.0
"""Seconds between two samples of what is served that are taken because somebody asks."""


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
            raise ServeError(otherwise)
        time.sleep(_LOOK)
