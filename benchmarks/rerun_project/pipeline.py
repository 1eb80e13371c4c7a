"""Three steps whose second reaches everything in helpers.py, for benchmarks/rerun.py."""

import helpers

from gristmill import step


@step
def load(rows: int = 1000) -> list[int]:
    return list(range(rows))


@step
def train(load: list[int]) -> list[int]:
    return helpers.fit(load)


@step
def evaluate(train: list[int]) -> int:
    return sum(train)
