"""Engines by name."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from gristmill.core.errors import UsageError
from gristmill.engine.inline import Inline
from gristmill.engine.local import LocalProcesses
from gristmill.engine.protocol import Engine

_PACKAGES = {"ray": "ray", "spark": "pyspark"}
_LAST_PORT = 65535
_FORMS = (
    "'local', 'local:4', 'inline', 'ray', 'ray://host:10001', 'ray:host:6379', 'spark' "
    "or 'spark://host:7077'"
)


@dataclass(frozen=True)
class EngineName:
    """An engine as users write it, taken apart.

    Attributes:
        kind: `local`, `inline`, `ray` or `spark`.
        address: of the cluster, None for the one that the environment names or for this machine.
            A Ray client's and a Spark master's keep their `ray://` and `spark://`.
        workers: how many, None for the engine's default.
    """

    kind: str
    address: str | None = None
    workers: int | None = None


def parse_engine(text: str) -> EngineName:
    """Take an engine's name apart.

    Args:
        text: `local`, `local:4`, `inline`, `ray`, `ray://host:10001` (Ray Client),
            `ray:host:6379` (a cluster's own port), `spark`, `spark://host:7077`, or
            `spark:MASTER` with any other master that Spark knows (`spark:yarn`).

    Raises:
        UsageError: it is none of these.
    """
    kind, colon, rest = text.partition(":")
    if kind not in ("local", "inline", "ray", "spark"):
        raise UsageError(f"unknown engine {text!r}", fix=f"use {_FORMS}")
    if not colon:
        return EngineName(kind)
    if kind == "local" and rest.isdecimal():
        return EngineName(kind, workers=int(rest))
    if kind in _PACKAGES and (host := rest.removeprefix("//")):
        if rest.startswith("//") or kind == "ray":
            _check_port(text, host)
        return EngineName(kind, text if rest.startswith("//") else rest)
    raise UsageError(f"cannot read the engine {text!r}", fix=f"use {_FORMS}")


def open_engine(
    engine: str | Engine = "local", *, workers: int | None = None, code: Path | None = None
) -> Engine:
    """Return the engine of that name; an engine is returned as it is.

    Args:
        engine: `local` (processes on this machine; `local:4` says how many), `inline` (right here,
            one item at a time), `ray` (the cluster of RAY_ADDRESS, else one on this machine),
            `ray://host:10001`, `ray:host:6379`, `spark` (on this machine), `spark://host:7077`.
        workers: how many items are worked on at once; by default one per processor.
        code: a folder of the user's modules that is sent to the machines of a cluster.

    Raises:
        UsageError: there is no engine of that name, what it needs is not installed, its cluster
            does not answer or has other versions, or `workers` is less than 1.
    """
    if not isinstance(engine, str):
        return engine
    name = parse_engine(engine)
    workers = name.workers if workers is None else workers
    if name.kind == "local":
        return LocalProcesses(workers)
    if name.kind == "inline":
        return Inline()
    check_installed(name.kind)
    if name.kind == "ray":
        from gristmill.engine.ray_engine import RayEngine

        return RayEngine(name.address, workers=workers, code=code)
    from gristmill.engine.spark_engine import SparkEngine

    return SparkEngine(name.address, workers=workers, code=code)


def is_installed(kind: str) -> bool:
    """Say whether the package of an engine is installed, without loading it."""
    package = _PACKAGES.get(kind)
    return package is None or importlib.util.find_spec(package) is not None


def check_installed(kind: str) -> None:
    """Check that the package of an engine is installed, without loading it.

    Raises:
        UsageError: it is not; says which extra to install.
    """
    if not is_installed(kind):
        raise UsageError(
            f"the engine {kind!r} needs {_PACKAGES[kind]}, which is not installed",
            fix=f"pip install 'gristmill[{kind}]', or use 'local'",
        )


def _check_port(text: str, host: str) -> None:
    port = host.rpartition(":")[2]
    # A Spark master may be a list of hosts; each has a port.
    if ":" not in host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise UsageError(f"expected a host and a port, found {text!r}", fix=f"use {_FORMS}")
