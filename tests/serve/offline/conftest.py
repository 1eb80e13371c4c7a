"""Tables for the small bundle of `write_toy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gristmill.store.bundle import Bundle

TEXTS = ["win a prize", "hello mum", "", "call £900 now", "ok"]


@pytest.fixture
def bundle(tmp_path: Path, write_toy: Callable[..., Bundle]) -> Bundle:
    return write_toy(tmp_path / "bundle")


@pytest.fixture
def table_of() -> Callable[[int], pl.DataFrame]:
    """Return so many texts: table_of(rows)."""
    return lambda rows: pl.DataFrame({"text": [f"{TEXTS[row % 5]} {row}" for row in range(rows)]})
