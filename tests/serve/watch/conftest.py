"""A statistician who only counts."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from gristmill.core.errors import DataError
from gristmill.serve.watch.statistician import Change, Compared, Distance


class Counting:
    """Statistics are a count of values by column; far is what training did not have."""

    fails = False
    tells = True

    def profile(self, columns):
        if self.fails:
            raise DataError("cannot profile this")
        return Counter(f"{name}={value}" for name, column in columns.items() for value in column)

    def add(self, one, two):
        return one + two

    def save(self, statistics, folder):
        (folder / "counts.json").write_text(json.dumps(statistics))

    def load(self, folder):
        try:
            return Counter(json.loads((folder / "counts.json").read_text()))
        except ValueError as error:
            raise DataError("damaged") from error

    def compare(self, statistics):
        far = sum(count for name, count in statistics.items() if name.endswith("odd"))
        share = far / sum(statistics.values())
        changes = (
            [Change("drift", "warning", "x", "x is odd")] if share > 0.1 and self.tells else []
        )
        near = Distance("y", 0.0, 0.1, 0.05, False)
        far = Distance("x", share, 0.1, 0.05, share > 0.1, "values")
        return Compared([near, far], changes, statistics.total())


@pytest.fixture
def statistician():
    return Counting()


class Hours:
    """A clock that is moved by hours."""

    def __init__(self):
        self.now = 1_700_000_000.0  # 2023-11-14 22:13 UTC

    def __call__(self):
        return self.now

    def pass_(self, hours):
        self.now += 3600 * hours


@pytest.fixture
def hours():
    return Hours()
