"""The fingerprint of code: everything of the user's own that a function can reach.

A cache that hashes only the function it caches returns stale results the day a helper changes. This
one follows every name that the function reads: helpers, helpers of helpers, classes and their
methods, constants, closures, default values, names imported inside a body. Code of installed
packages is not followed; it counts by its version.

What is decided at run time (`eval`, `getattr` with a computed name, a package's object with hidden
state) cannot be followed by reading; such places are listed as blind spots, not ignored.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gristmill.core.code_walk import CodeWalk, own_name
from gristmill.core.fingerprint import fingerprint


@dataclass(slots=True)
class CodeReach:
    """What a function can reach.

    Attributes:
        parts: name of each reachable function, class or constant -> its fingerprint.
        packages: installed packages that it uses -> version.
        blind_spots: places that could not be followed, as `file:line: what`.
    """

    parts: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    blind_spots: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """One fingerprint for all of it, and for the version of Python."""
        return fingerprint([self.parts, self.packages, list(sys.version_info[:2])])

    def changes_since(self, parts: Mapping[str, str], packages: Mapping[str, str]) -> list[str]:
        """Say what differs from an earlier reach, one phrase per difference, by name."""
        phrases = _differences(parts, self.parts, "changed")
        for name, version in self.packages.items():
            if name in packages and packages[name] != version:
                phrases.append(f"package {name} {packages[name]} -> {version}")
        if not phrases:
            phrases = [
                f"package {name} is used now" for name in self.packages if name not in packages
            ]
            phrases += [
                f"package {name} is used no more" for name in packages if name not in self.packages
            ]
        return phrases


def _differences(old: Mapping[str, str], new: Mapping[str, str], verb: str) -> list[str]:
    changed = [f"{name} {verb}" for name in new if name in old and old[name] != new[name]]
    if changed:
        return changed
    added = [f"{name} added" for name in new if name not in old]
    return added + [f"{name} removed" for name in old if name not in new]


def reach(
    function: Callable[..., object], *, defaults: bool = True, also: Iterable[type | str] = ()
) -> CodeReach:
    """Return everything of the user's own that `function` can reach.

    Args:
        function: where to start.
        defaults: whether the default values of `function` itself count; a caller that files the
            values of all its arguments elsewhere leaves them out.
        also: classes of what it will be given, whose methods it may call; of a package's, the name
            of the module does.
    """
    result = CodeReach()
    walk = CodeWalk(result, None if defaults else function)
    walk.visit(function, own_name(function) or str(getattr(function, "__qualname__", function)))
    for cls in also:
        if isinstance(cls, str):
            walk.package(cls)
        else:
            walk.visit(cls, own_name(cls) or cls.__qualname__)
    result.parts = dict(sorted(result.parts.items()))
    result.packages = dict(sorted(result.packages.items()))
    result.blind_spots = sorted(set(result.blind_spots))
    return result


def fingerprint_callable(function: Callable[..., object]) -> str:
    """Return one fingerprint of a function and of all that it can reach."""
    return reach(function).digest
