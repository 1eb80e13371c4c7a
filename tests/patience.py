"""For tests that ask a server: a minute for everything, so that no pause makes anybody late."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx2

from gristmill.serve.protocol import Limits

PATIENCE_SECONDS = 60.0
_TIMES = ("deadline", "header_timeout", "body_timeout", "stream_timeout")

web = SimpleNamespace(
    **{
        method: partial(getattr(httpx2, method), timeout=PATIENCE_SECONDS)
        for method in ("get", "post", "delete", "request")
    }
)
"""Requests over a network, which httpx2 by itself gives up after 5 seconds."""


def patient(**limits: Any) -> Limits:
    """Return limits of a server with a minute for everything but what is named."""
    return Limits(**dict.fromkeys(_TIMES, PATIENCE_SECONDS) | limits)
