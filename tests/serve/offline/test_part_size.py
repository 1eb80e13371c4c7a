"""How many rows make a part."""

from __future__ import annotations

import numpy as np
import polars as pl

from gristmill.serve.offline.part_size import part_rows
from gristmill.store.signature import Field


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


def test_an_image_counts_by_its_pixels() -> None:
    scan = Field("scan", "image", shape=[100, 100, 3])
    paths = pl.DataFrame({"row_id": ["a.png"] * 10, "scan": ["/scans/a.png"] * 10})
    assert 95 <= part_rows(paths, 16 * 30_000 * 100, 4, [scan]) <= 100
    files = pl.DataFrame({"scan": [b"x" * 3000] * 10})
    assert 85 <= part_rows(files, 16 * 30_000 * 100, 4, [scan]) <= 95
    pixels = pl.DataFrame({"scan": np.zeros((10, 100, 100, 3), np.uint8)})
    assert 95 <= part_rows(pixels, 16 * 30_000 * 100, 4, [scan]) <= 100
