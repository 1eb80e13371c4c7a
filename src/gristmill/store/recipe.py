"""How a bundle was made, kept in the bundle: enough to make it again.

There is no time and no run in it, so that a step that runs again writes the same bundle; which run
it was is on record in the project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from gristmill.core.errors import BundleError

RECIPE = "recipe.json"
"""Name of the file inside a bundle."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What made a bundle.

    Attributes:
        pipeline: the pipeline's file.
        step: the step that wrote the bundle.
        key: the step's key: of its code, packages, settings and inputs.
        command: what makes it again, at that commit and from the same data.
        settings: of the step, seeds among them: name -> value in words; of a path, its fingerprint.
        inputs: name of each input -> digest of the artifact.
        packages: installed packages that the step's code uses -> version.
        commit: of git, that was checked out; None without git.
        threads: that torch computed with; None if it was not loaded.
    """

    pipeline: str
    step: str
    key: str
    command: str
    settings: dict[str, str] = {}
    inputs: dict[str, str] = {}
    packages: dict[str, str] = {}
    commit: str | None = None
    threads: int | None = None


_in_force: ContextVar[Callable[[], Recipe] | None] = ContextVar("gristmill_recipe", default=None)


def recipe_in_force() -> Recipe | None:
    """Return the recipe of the step that runs; None outside of one."""
    asked = _in_force.get()
    return None if asked is None else asked()


@contextmanager
def following(recipe: Callable[[], Recipe]) -> Iterator[None]:
    """Put the recipe that `recipe` gives into every bundle that is written within the block."""
    token = _in_force.set(recipe)
    try:
        yield
    finally:
        _in_force.reset(token)


def recipe_to_json(recipe: Recipe) -> bytes:
    """Write a recipe as JSON; equal ones give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(recipe, order="deterministic"), indent=2)


def recipe_from_json(data: bytes) -> Recipe:
    """Read what `recipe_to_json` wrote.

    Raises:
        BundleError: it is no recipe.
    """
    try:
        return msgspec.json.decode(data, type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"not a recipe: {error}", where=RECIPE) from error
