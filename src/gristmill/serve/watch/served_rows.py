"""A uniform sample of the rows that are served, at the cost of an addition a request.

Vitter's reservoir, by Li's algorithm L (1994): it draws how many rows to pass over before the next
one that enters, so that a request between two of them only moves a counter.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gristmill.serve.runners.rows import Column, Ragged

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

PREDICTION = "prediction."
"""What the names of answers' columns begin with, beside those of inputs."""
_PROBS = "probs"
"""Adds up to one in every answer, so that its mean says nothing; the greatest is `prob`."""


class Sampled(NamedTuple):
    """A sample: values by column, one per sampled row, and how many rows it stands for."""

    columns: dict[str, list[object]]
    rows: int
    served: int


class ServedRows:
    """The sample of what was served since it was last taken; belongs to one thread.

    A tensor is sampled as the mean of its elements, `NAME.mean`, and rows of different lengths
    also as their length, `NAME.length`: a picture that is darker, a text that is longer.

    Args:
        capacity: most rows of a sample.
        seed: of the draws.
    """

    def __init__(self, capacity: int = 512, *, seed: int = 0) -> None:
        self.capacity = capacity
        self._random = random.Random(seed)  # noqa: S311 - a sample, no secret
        self._rows: list[dict[str, object]] = []
        self._seen = self._next = 0
        self._weight = 1.0

    def observe(self, rows: Rows, answers: Rows) -> None:
        """Take note of one request's rows and of their answers."""
        before = self._seen
        self._seen = end = before + rows.count
        if end <= self._next:
            return
        while self._next < end:
            self._keep(rows, answers, self._next - before)

    def take(self) -> Sampled:
        """Return the sample, and begin a new one."""
        columns: dict[str, list[object]] = {}
        for place, row in enumerate(self._rows):
            for name, value in row.items():
                columns.setdefault(name, [None] * len(self._rows))[place] = value
        found = Sampled(columns, len(self._rows), self._seen)
        self._rows = []
        self._seen = self._next = 0
        self._weight = 1.0
        return found

    def _keep(self, rows: Rows, answers: Rows, place: int) -> None:
        values = _values(rows, place, "")
        values |= _values(answers, place, PREDICTION)
        self._next += 1
        if len(self._rows) < self.capacity:
            self._rows.append(values)
            if len(self._rows) < self.capacity:
                return
        else:
            self._rows[self._random.randrange(self.capacity)] = values
        self._weight *= math.exp(math.log(1.0 - self._random.random()) / self.capacity)
        gap = math.log(1.0 - self._random.random()) / math.log1p(-self._weight)
        self._next += int(gap)


def _values(rows: Rows, place: int, prefix: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, column in rows.columns.items():
        if prefix and name == _PROBS:
            continue
        value = _value(column, place)
        if isinstance(value, np.ndarray):
            if isinstance(column, Ragged):
                found[f"{prefix}{name}.length"] = len(value)
            if value.size and value.dtype.kind in "fiub":
                found[f"{prefix}{name}.mean"] = float(value.mean(dtype=np.float64))
        else:
            found[prefix + name] = value
    return found


def _value(column: Column, place: int) -> Any:
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return column[place].item()
    return column[place]
