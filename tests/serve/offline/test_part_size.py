"""How many rows make a part."""

from __future__ import annotations

import polars as pl

from gristmill.serve.offline.part_size import part_rows


def test_memory_work_and_a_bound_decide() -> None:
    numbers = pl.DataFrame({"x": [1.0] * 100})
    assert part_rows(numbers, 512_000_000, 4_000) == 1 << 16
    assert part_rows(numbers, 16 * 8 * 1000, 4_000) == 1000
    wide = pl.DataFrame({"x": [[0.0] * 1000] * 10})
    assert 990 <= part_rows(wide, 16 * 8000 * 1000, 4) <= 1000
    texts = pl.DataFrame({"text": ["x" * 80] * 10})
    assert 900 <= part_rows(texts, 512_000_000, 90_000_000) <= 1200
    assert part_rows(texts, 512_000_000, 90_000_000_000) == 256
    assert part_rows(wide, 1, 1) == 1
    assert part_rows(numbers[:0], 512_000_000, 4) == 1 << 16
