"""What driver and workers have installed, and which differences matter between them."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from gristmill.core.errors import UsageError
from gristmill.core.packages import package_version

_PACKAGES = ("polars", "numpy", "msgspec", "torch", "pyarrow", "cloudpickle")
_ABSENT = "unknown"
_SAME = "polars"
"""The package of which the versions must be one: hashes of rows and cells are compared that other
processes have made (keys that repeat, fingerprints of votes, samples), and they mean the same
within one version only. What differs there would be a wrong result that nobody sees."""


@dataclass(frozen=True)
class Versions:
    """What one process runs on.

    Attributes:
        python: major and minor version, such as `3.12`: values pickled by one may mean nothing to
            another.
        gristmill: the version; of a source tree with a digest of its sources.
        packages: name -> version of what results may depend on; only what is installed.
    """

    python: str
    gristmill: str
    packages: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Self:
        """Return those of this process."""
        found = {name: package_version(name) for name in _PACKAGES}
        return cls(
            python=".".join(platform.python_version_tuple()[:2]),
            gristmill=package_version("gristmill"),
            packages={name: version for name, version in found.items() if version != _ABSENT},
        )


@dataclass(frozen=True)
class Differences:
    """Sentences about what a worker has and the driver has not.

    Attributes:
        breaking: with these no work can be exchanged.
        others: with these it can, but results may differ.
    """

    breaking: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def differences(driver: Versions, worker: Versions) -> Differences:
    """Compare a worker with the driver. A package that the worker lacks is told, too.

    Edited sources of one version are no other version: a developer's edit while workers are about
    is told, and no more.
    """
    breaking = [
        _sentence(name, ours, theirs)
        for name, ours, theirs in (
            ("Python", driver.python, worker.python),
            ("gristmill", _released(driver.gristmill), _released(worker.gristmill)),
            (_SAME, driver.packages.get(_SAME, ""), worker.packages.get(_SAME, "")),
        )
        if ours != theirs
    ]
    others = [
        _sentence(name, ours, worker.packages.get(name, ""))
        for name, ours in driver.packages.items()
        if name != _SAME and worker.packages.get(name) != ours
    ]
    if not breaking and driver.gristmill != worker.gristmill:
        others.append(_sentence("gristmill", driver.gristmill, worker.gristmill))
    return Differences(tuple(breaking), tuple(others))


def check_workers(engine: str, workers: Mapping[str, Versions], fix: str) -> None:
    """Compare all workers with this process; differences that may change results are warned of.

    Args:
        engine: the engine's name, for messages.
        workers: a worker's name, such as its host -> its versions.
        fix: what to do about a difference, as an instruction.

    Raises:
        UsageError: a worker has another Python, Polars or gristmill; all such workers are named.
    """
    driver = Versions.here()
    found = {name: differences(driver, worker) for name, worker in workers.items()}
    others = _told({name: each.others for name, each in found.items()})
    if breaking := _told({name: each.breaking for name, each in found.items()}):
        raise UsageError(
            f"the driver and the workers do not fit together: {breaking}",
            where=f"engine {engine}",
            fix=fix,
        )
    if others:
        warnings.warn(f"engine {engine}: {others}; results may differ. {fix}", stacklevel=3)


def _told(sentences: Mapping[str, tuple[str, ...]]) -> str:
    """Name each set of differences once, with the workers that have it."""
    by_text: dict[str, list[str]] = {}
    for worker, found in sentences.items():
        if found:
            by_text.setdefault(", ".join(found), []).append(worker)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in by_text.items())


def _released(version: str) -> str:
    """Return the version without the digest that tells source trees apart."""
    return version.partition("+")[0]


def _sentence(name: str, driver: str, worker: str) -> str:
    return f"{name} {worker or 'is not installed'} where the driver has {driver}"
