"""Trying a step again: after which errors, and after how long."""

from __future__ import annotations

import msgspec

from gristmill.core.errors import (
    BundleError,
    FindingsError,
    GateError,
    LabelError,
    ReadOnlyError,
    UsageError,
)
from gristmill.core.seeds import derive_seed

MOST_SECONDS = 300.0
"""The longest wait between two tries."""

_LASTING = (
    # The call, the data, a gate or a file says no: they will say so again.
    UsageError, FindingsError, GateError, LabelError, BundleError, ReadOnlyError,
    # The code is wrong, or wants to leave.
    ImportError, NameError, SyntaxError, SystemExit,
)  # fmt: skip


class Try(msgspec.Struct, frozen=True):
    """A try that failed and was followed by another one.

    Attributes:
        error: what it ended with.
        seconds: that it took.
        waited: seconds between it and the next one.
    """

    error: str
    seconds: float
    waited: float


def may_pass(error: BaseException) -> bool:
    """Say whether what a step's function raised may be gone the next time."""
    return not isinstance(error, _LASTING)


def seconds_until_next(first: float, failed: int, key: str) -> float:
    """Return how long to wait after a failed try: exponential back-off with jitter.

    Between half and all of `first * 2 ** (failed - 1)`, so that steps that failed together do not
    come back together. The draw depends on the step's key alone: every run waits the same.

    Args:
        first: seconds, at most, after the first try.
        failed: how many tries have failed, from 1.
        key: the step's key.
    """
    most = min(first * 2.0 ** min(failed - 1, 60), MOST_SECONDS)
    return most * (0.5 + derive_seed(0, key, failed) / 2**64)
