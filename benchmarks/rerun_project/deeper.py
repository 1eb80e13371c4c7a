"""What the helpers call."""

import functools
from collections.abc import Callable, Sequence

WEIGHTS = {"a": 1}


def lower(value: int) -> int:
    return value - 1


def raised(function: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(function)
    def wrapped(value: int) -> int:
        return function(value) + 10

    return wrapped


def chain(steps: Sequence[Callable[[int], int]], value: int) -> int:
    for step in steps:
        value = step(value)
    return value * WEIGHTS["a"]
