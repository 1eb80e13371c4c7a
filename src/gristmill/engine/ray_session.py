"""This process's connection to Ray: it has one at a time, and its engines share it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.core.environment import environment
from gristmill.core.errors import UsageError
from gristmill.engine.ray_failures import not_connected
from gristmill.engine.shared_connection import SharedConnection

log = logging.getLogger("gristmill.engine")

_NOT_SENT = [".gristmill", ".git", ".venv", "__pycache__"]
_DRIVER_SETTINGS = {
    # Without it Ray tries for ever what ends its worker by taking too much memory.
    "RAY_task_oom_retries": "2",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Who answers, but not as a cluster's head, does so the second time as well, 40 seconds later.
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class _Connection:
    """What this module opened."""

    address: str
    code: Path | None


def _disconnect(_: _Connection) -> None:
    import ray

    ray.shutdown()


_shared = SharedConnection(_disconnect)


class Session:
    """An engine's share of this process's connection; the last one to leave closes it.

    Args:
        address: `ray://host:port` (Ray Client), `host:port` or `auto` (a cluster that this machine
            belongs to); None for the cluster of RAY_ADDRESS, else a new one on this machine, which
            ends with the connection.
        processors: of a cluster that is started here; None for all of the machine.
        code: a folder of the user's code that is sent to all nodes.

    A process that called `ray.init` itself keeps its connection: it is used, and left open.

    Attributes:
        on_this_machine: whether the cluster was started here, for this connection.

    Raises:
        UsageError: the cluster cannot be joined, or the process is connected to another one.
    """

    def __init__(
        self, address: str | None, *, processors: int | None = None, code: Path | None = None
    ) -> None:
        # Some of the settings are read when Ray is loaded, some when it connects.
        with _shared.lock, environment(_DRIVER_SETTINGS, but=os.environ):
            import ray

            known = _shared.open
            if known is None and not ray.is_initialized():
                where = address or os.environ.get("RAY_ADDRESS") or "local"
                _connect(where, processors, code)
                known = _shared.opened(_Connection(where, code))
            elif known is not None and address not in (None, known.address):
                raise UsageError(
                    f"this process is connected to the Ray cluster {known.address} "
                    f"and cannot join {address} as well",
                    fix="close the engine that uses it first",
                )
            elif code is not None and (known is None or code != known.code):
                raise UsageError(
                    "this process has joined Ray already, and code is sent when it joins",
                    where=str(code),
                    fix='close the other engine, or pass runtime_env={"working_dir": ...} to '
                    "your own ray.init",
                )
            self.on_this_machine = known is not None and known.address == "local"
            self._connection = _shared.join()

    def leave(self) -> None:
        """End the connection, and a cluster that was started for it, if nobody else uses it."""
        connection, self._connection = self._connection, None
        _shared.leave(connection)


def _connect(address: str, processors: int | None, code: Path | None) -> None:
    import ray

    options: dict[str, Any] = {}
    if address == "local":
        options = {"num_cpus": processors, "include_dashboard": False}
    if code is not None:
        options["runtime_env"] = {"working_dir": str(code), "excludes": _NOT_SENT}
    try:
        check_reachable(address)
        _divert_messages()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:  # Ray raises anything from ConnectionError to RuntimeError
        ray.shutdown()
        raise not_connected(error, address) from error


def check_reachable(address: str, seconds: float = _ANSWER_SECONDS) -> None:
    """Try to reach a cluster: Ray itself ends the whole process where nobody answers.

    Args:
        address: of the cluster; one without a port is taken for reachable.
        seconds: how long to wait.

    Raises:
        OSError: nobody answers.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), seconds):
            return


def _divert_messages() -> None:
    """Have what Ray tells of workers and nodes go to the log, not to our standard output."""
    from ray._private import worker as driver

    if hasattr(driver, "print_to_stdstream"):  # another version of Ray prints
        driver.print_to_stdstream = _note


def _note(data: Mapping[str, Any], **_: object) -> None:
    log.info("%s: %s", data.get("pid"), "\n".join(data.get("lines", ())))
