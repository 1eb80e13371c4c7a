"""What the scheduler refuses, as a client is told."""

from __future__ import annotations

import math

from gristmill.core.quantities import format_seconds
from gristmill.serve.refusal import Refusal
from gristmill.serve.scheduling.request import Reason, Refused


def refusal(refused: Refused) -> Refusal:
    """Return the 503 for a request that is not taken, or was dropped."""
    code, wait = refused.reason.value, format_seconds(refused.wait)
    if refused.reason is Reason.HOPELESS:
        return Refusal(
            503,
            code,
            "the model takes longer for this request than its deadline allows",
            fix="allow more time, or send fewer records a request",
        )
    if refused.reason is Reason.FULL:
        what = f"the queue is full; what waits takes about {wait}"
    else:
        what = f"too many requests wait for an answer in time; it would be late by about {wait}"
    return Refusal(503, code, what, headers=retry_after(refused.wait))


def stopping() -> Refusal:
    """Return the 503 of an endpoint that is being closed."""
    return Refusal(503, "stopping", "the server is stopping", headers=retry_after(1.0))


def retry_after(seconds: float) -> list[tuple[str, str]]:
    """Return the header; whole seconds, at least one (RFC 9110, section 10.2.3)."""
    return [("Retry-After", str(max(1, math.ceil(seconds))))]
