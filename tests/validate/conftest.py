"""Small tables that the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

TableMaker = Callable[..., pl.DataFrame]


def _orders(rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    """A table with one column of every kind, no duplicates, and some missing cells."""
    rng = np.random.default_rng(seed)
    paid = rng.choice(["cash", "card", "voucher"], rows, p=[0.55, 0.35, 0.10])
    lengths = rng.exponential(20.0, rows).astype(int).tolist()
    notes = [f"{row:05d} {'x' * n}" for row, n in enumerate(lengths)]
    frame = pl.DataFrame(
        {
            "order_id": np.arange(10_000 * seed, 10_000 * seed + rows),
            "price": np.round(rng.gamma(2.0, 10.0, rows), 2),
            "hour": rng.integers(0, 24, rows),
            "paid": paid,
            "note": notes,
            "gift": rng.random(rows) < 0.2,
            "day": pl.Series(rng.integers(0, 300, rows)).cast(pl.Date),
        }
    )
    gaps = pl.Series(rng.random(rows) < 0.1)
    return frame.with_columns(price=pl.when(~gaps).then("price"))


@pytest.fixture
def orders() -> TableMaker:
    """Return the maker of tables: `orders(rows, seed)`."""
    return _orders
