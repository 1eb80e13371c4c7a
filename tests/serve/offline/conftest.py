"""One small bundle without training or export, and tables for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.data.features import HashedNgrams
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref

TEXTS = ["win a prize", "hello mum", "", "call £900 now", "ok"]


@pytest.fixture
def write_toy() -> Callable[..., Bundle]:
    """Write a bag of words: write_toy(folder, seed)."""

    def write(folder: Path, seed: int = 0) -> Bundle:
        graph = GraphSpec(
            inputs=[Input("ids", "int64", [None, None])],
            weights=["table"],
            nodes=[
                Node("rows", "aten.embedding.default", [Ref("table"), Ref("ids"), 0]),
                Node("sum", "aten.sum.dim_IntList", [Ref("rows"), Items([1])]),
            ],
            outputs=["sum"],
        )
        table = np.random.default_rng(seed).normal(size=(101, 2)).astype(np.float32)
        table[0] = 0
        return write_bundle(
            folder,
            name="toy",
            classes=["ham", "spam"],
            signature=Signature([Field("text", "string", max_length=50)], []),
            featurizer=HashedNgrams(buckets=100),
            graph=graph,
            weights={"table": table},
        )

    return write


@pytest.fixture
def bundle(tmp_path: Path, write_toy: Callable[..., Bundle]) -> Bundle:
    return write_toy(tmp_path / "bundle")


@pytest.fixture
def table_of() -> Callable[[int], pl.DataFrame]:
    """Return so many texts: table_of(rows)."""
    return lambda rows: pl.DataFrame({"text": [f"{TEXTS[row % 5]} {row}" for row in range(rows)]})
