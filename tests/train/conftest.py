"""Small made-up messages, and examples of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.progress import reporting
from gristmill.data.features import HashedNgrams
from gristmill.train.examples import Examples

CLASSES = ["ham", "spam"]
SPAM = ["win", "free", "prize", "cash", "claim", "now", "urgent"]
HAM = ["hello", "lunch", "home", "love", "see", "you", "tomorrow", "work", "ok", "fine", "day"]


def _message(generator: np.random.Generator, spam: bool) -> str:
    words = list(generator.choice(HAM, generator.integers(1, 9)))
    words += list(generator.choice(SPAM, 2)) if spam else []
    generator.shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="session")
def messages() -> pl.DataFrame:
    """240 messages, row ids 0..239, column `label` of names; two in five are spam."""
    generator = np.random.default_rng(5)
    spam = generator.random(240) < 0.4
    return pl.DataFrame(
        {
            "row_id": np.arange(240),
            "text": [_message(generator, each) for each in spam],
            "label": ["spam" if each else "ham" for each in spam],
        }
    )


@pytest.fixture(scope="session")
def featurizer() -> HashedNgrams:
    return HashedNgrams(words=(1, 1), buckets=128, max_tokens=16)


@pytest.fixture(scope="session")
def examples(messages: pl.DataFrame, featurizer: HashedNgrams) -> Examples:
    return Examples.from_table(messages, "label", featurizer, CLASSES)


class Said:
    """A reporter that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, title: str, total: int | None, unit: str) -> Said:
        return self

    def finish(self, task: object) -> None:
        pass

    def advance(self, amount: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def said():
    reporter = Said()
    with reporting(reporter):
        yield reporter.lines
