"""How a replica gets its runner: from a bundle, or however a function of one's own says."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias, cast

from gristmill.core.errors import UsageError
from gristmill.serve.replicas.shared_weights import SharedWeights
from gristmill.serve.runners.runner import Runner
from gristmill.store.bundle import Bundle

Opener: TypeAlias = Callable[[str, int, SharedWeights], Runner]
"""Called once in each replica: (source, threads, weights that replicas share) -> runner."""

BUNDLE_OPENER = "gristmill.serve.replicas.opening:open_bundle"


def open_bundle(source: str, threads: int, weights: SharedWeights) -> Runner:
    """Open the bundle in folder `source`, every file of it checked.

    Raises:
        BundleError: it is damaged or was tampered with.
    """
    from gristmill.serve.runners.opening import open_runner

    return open_runner(weights.of(Bundle.open(source)), threads=threads)


def find_opener(name: str) -> Opener:
    """Return the function that `module:function` names.

    Raises:
        UsageError: there is no such function.
    """
    module, _, function = name.partition(":")
    try:
        return cast("Opener", getattr(import_module(module), function))
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"expected an opener as module:function, found {name!r}: {error}",
            fix="name a function that can be imported where the server was started",
        ) from error
