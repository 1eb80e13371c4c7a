"""Towers of dense layers as bundles, without training or export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref


@pytest.fixture(scope="session")
def write_tower() -> Callable[..., Bundle]:
    """Write a classifier of float32[4]: write_tower(folder, layers, width)."""

    def write(folder: Path, layers: int = 6, width: int = 32) -> Bundle:
        draw = np.random.default_rng(0)
        sizes = [4, *[width] * (layers - 1), 3]
        nodes, weights, last = [], {}, "x"
        for at in range(layers):
            shape = (sizes[at + 1], sizes[at])
            weights[f"w{at}"] = draw.normal(size=shape).astype(np.float32) / np.sqrt(shape[1])
            weights[f"b{at}"] = draw.normal(size=shape[0]).astype(np.float32)
            args = [Ref(last), Ref(f"w{at}"), Ref(f"b{at}")]
            nodes += [
                Node(f"dense{at}", "aten.linear.default", args),
                Node(f"wave{at}", "aten.sin.default", [Ref(f"dense{at}")]),
            ]
            last = f"wave{at}"
        return write_bundle(
            folder,
            name="tower",
            classes=["a", "b", "c"],
            signature=Signature([Field("x", "tensor", dtype="float32", shape=[4])], []),
            graph=GraphSpec([Input("x", "float32", [None, 4])], list(weights), nodes, [last]),
            weights={name: np.float32(array) for name, array in weights.items()},
        )

    return write
