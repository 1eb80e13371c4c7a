"""What happens where another system runs our work: an attempt, and how its outcome travels."""

from __future__ import annotations

import pickle
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gristmill.core.errors import StepError
from gristmill.engine.failures import as_ours
from gristmill.engine.outcome import Outcome
from gristmill.engine.user_code import follow, user_code

_FUNCTIONS_KEPT = 8
_functions: OrderedDict[str, Callable[[Any], Any]] = OrderedDict()


def packed_attempt(
    work: Callable[[], Any], where: str, dumps: Callable[[Any], bytes] = pickle.dumps
) -> bytes:
    """Do the work, and pickle what came of it; no error of the work or of its pickling escapes.

    Args:
        work: called once.
        where: what errors of the work name as their place.
        dumps: pickles an outcome.
    """
    try:
        outcome: Outcome[Any] = Outcome(work())
    except BaseException as error:  # sent back, not swallowed
        outcome = Outcome(
            error=as_ours(error, where), trace="".join(traceback.format_exception(error))
        )
    try:
        return dumps(outcome)
    except Exception as error:  # the result's own pickling may raise anything
        kind = type(outcome.value).__qualname__
        said = f"the result, a {kind}, cannot be sent back: {error}"
        return dumps(Outcome(error=StepError(said, where=where)))


def unpacked(message: bytes, where: str) -> Outcome[Any]:
    """Read what `packed_attempt` pickled."""
    try:
        return cast("Outcome[Any]", pickle.loads(message))  # noqa: S301 - of our own workers
    except Exception as error:  # the result's own unpickling may raise anything
        return Outcome(error=StepError(f"the result cannot be read: {error}", where=where))


@dataclass(frozen=True)
class Shipment:
    """A function on its way to the workers, once for all items.

    Attributes:
        function: pickled.
        paths: folders that the driver imports from.
        code: what `user_code` says there.
    """

    function: bytes
    paths: tuple[str, ...]
    code: Mapping[str, str]

    @staticmethod
    def of(function: bytes) -> Shipment:
        """Ship a pickled function with what it takes to import it."""
        return Shipment(function, tuple(sys.path), user_code())

    def unpack(self) -> Callable[[Any], Any]:
        """Make this process import what its driver has, and unpickle the function."""
        follow(self.code, self.paths)
        function: Callable[[Any], Any] = pickle.loads(self.function)  # noqa: S301 - our driver's
        return function


def remembered(key: str, load: Callable[[], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Return a driver's function, loaded once a process.

    Args:
        key: names it among all functions of all drivers.
        load: unpickles it.
    """
    found = _functions.get(key)
    if found is None:
        found = _functions[key] = load()
        while len(_functions) > _FUNCTIONS_KEPT:
            _functions.popitem(last=False)
    return found
