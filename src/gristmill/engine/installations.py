"""Which engines can be opened here, told without loading or starting any of them.

A cluster that the environment names is asked whether anybody listens there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.packages import package_version
from gristmill.core.processes.place import allowed_processors
from gristmill.engine.opening import is_installed
from gristmill.engine.ray_session import check_reachable
from gristmill.engine.spark_session import check_java

_ANSWER_SECONDS = 2.0


class Installation(msgspec.Struct, frozen=True):
    """One engine on this machine.

    Attributes:
        engine: its kind.
        ready: whether it can be opened.
        found: what is here, and where it would run.
        fix: what to do where it is not ready.
    """

    engine: str
    ready: bool
    found: str
    fix: str = ""


def installations() -> Iterator[Installation]:
    """Yield all engines, in the order of their reach."""
    processors = len(allowed_processors())
    yield Installation("inline", True, "this process, one item at a time")
    noun = "processor" if processors == 1 else "processors"
    yield Installation("local", True, f"processes on this machine, {processors} {noun}")
    yield _ray()
    yield _spark()


def _ray() -> Installation:
    if not is_installed("ray"):
        return _absent("ray")
    found = f"ray {package_version('ray')}"
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Installation("ray", True, f"{found}; RAY_ADDRESS is not set: starts its own")
    try:
        check_reachable(address, _ANSWER_SECONDS)
    except OSError as error:
        said = f"{found}; RAY_ADDRESS {address} does not answer: {error.strerror or error}"
        fix = "start that cluster (`ray status` on its head), or unset RAY_ADDRESS"
        return Installation("ray", False, said, fix)
    return Installation("ray", True, f"{found}; joins RAY_ADDRESS {address}")


def _spark() -> Installation:
    if not is_installed("spark"):
        return _absent("spark")
    found = f"pyspark {package_version('pyspark')}"
    try:
        check_java()
    except UsageError as error:
        return Installation("spark", False, f"{found}; {error.message}", error.fix or "")
    return Installation("spark", True, f"{found}, starts its own unless an address is given")


def _absent(kind: str) -> Installation:
    return Installation(kind, False, "not installed", f"pip install 'gristmill[{kind}]'")
