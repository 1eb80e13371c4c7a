"""Models with their data and losses, for the training benchmarks: real work on two cores.

    workload = workloads(text)["gpt"]
    model = workload.factory(depth=4)
    feed = Feed(workload.data(rows=512), batch_size=16, seed=0)
    objective = Objective(workload.loss)

Sizes that model and data have in common (`length`, `size`, `features`) must be told both, where
they are not left as they are. Run as a script it trains each for a few steps.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from claims import ROOT
from gristmill import data
from gristmill.core.errors import DataError
from gristmill.core.seeds import derive_seed
from gristmill.train.draws import DRAWS, KeyedDraws, seeded, steady
from gristmill.train.examples import Examples
from gristmill.train.feeds.arrays import Arrays
from gristmill.train.feeds.examples_dataset import ExamplesDataset
from gristmill.train.feeds.feed import Feed
from gristmill.train.feeds.images import Images
from gristmill.train.feeds.objectives import Objective
from gristmill.train.feeds.token_windows import TokenWindows
from gristmill.train.model_spec import KINDS, ModelSpec, build_model
from gristmill.train.text.text_defaults import text_featurizer
from train_networks import ResNet, UNet, mlp_stack

sys.path.insert(0, str(ROOT / "examples" / "language_model"))
from gpt import GPT  # type: ignore[import-not-found]
from reading import read_text  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from torch import nn

    from gristmill.train.feeds.dataset import Dataset

SHAPES = ("disc", "square", "cross", "ring")
CLASSES = ("ham", "spam")


@dataclass(frozen=True)
class Workload:
    """Something to train.

    Attributes:
        factory: makes the model; takes its sizes by name.
        data: makes the dataset; takes its sizes by name, and `rows`.
        loss: name of the loss, as `Objective` takes it.
        lr: a learning rate for AdamW that works.
    """

    factory: Callable[..., nn.Module]
    data: Callable[..., Dataset]
    loss: str
    lr: float


def workloads(text: str = "python") -> dict[str, Workload]:
    """Return the workloads by name.

    Args:
        text: what the language model reads: `python`, `shakespeare`, or a file.
    """
    made = {
        "gpt": Workload(GPT, functools.partial(windows, text), "token_cross_entropy", 1e-3),
        "mlp": Workload(mlp_stack, blobs, "cross_entropy", 1e-3),
        "resnet": Workload(ResNet, shape_classes, "cross_entropy", 1e-3),
        "unet": Workload(UNet, shape_masks, "cross_entropy", 1e-3),
    }
    for kind in KINDS:
        model, rows = functools.partial(sms_model, kind), functools.partial(sms, kind)
        made[f"sms_{kind}"] = Workload(model, rows, "soft_cross_entropy", 3e-3)
    return made


# text ------------------------------------------------------------------------------------------


def windows(text: str = "python", rows: int | None = None, length: int = 128) -> TokenWindows:
    """Return windows of a text, as many as are asked for (it starts again where it ends)."""
    tokens = np.frombuffer(read_text(text), np.uint8)
    if rows is not None:
        tokens = np.resize(tokens, rows * length + 1)
    return TokenWindows(tokens, length)


# numbers ---------------------------------------------------------------------------------------


def blobs(rows: int = 2048, features: int = 64, classes: int = 10, seed: int = 0) -> Arrays:
    """Return points around one centre for each class: float32[rows, features]."""
    generator = np.random.default_rng(derive_seed(seed, "blobs"))
    centres = generator.normal(size=(classes, features)).astype(np.float32)
    truth = generator.integers(0, classes, rows)
    noise = generator.normal(scale=2.0, size=(rows, features)).astype(np.float32)
    return Arrays(centres[truth] + noise, targets=truth)


# images ----------------------------------------------------------------------------------------


def draw_shapes(
    rows: int, size: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Draw one shape into each image, at a random place, in a random colour, on noise.

    Returns:
        pixels uint8[rows, size, size, 3], the shape's number int64[rows], and a class for every
        pixel int64[rows, size, size]: 0 for the ground, else the shape's number + 1.
    """
    generator = np.random.default_rng(derive_seed(seed, "shapes"))
    numbers = generator.integers(0, len(SHAPES), rows)
    radius = generator.uniform(0.15, 0.3, rows)[:, None, None] * size
    middle = generator.uniform(0.35, 0.65, (2, rows, 1, 1)) * size
    y, x = np.mgrid[:size, :size]
    inside = _inside(np.abs(y - middle[0]), np.abs(x - middle[1]), radius)
    masks = np.take_along_axis(inside, numbers[None, :, None, None], axis=0)[0]
    colour, ground = generator.uniform(0.2, 1, (2, rows, 1, 1, 3))
    image = np.where(masks[..., None], colour, 0.4 * ground)
    image += generator.normal(scale=0.1, size=image.shape)
    pixels = (image.clip(0, 1) * 255).astype(np.uint8)
    return pixels, numbers, masks * (numbers + 1)[:, None, None]


def _inside(
    down: NDArray[np.float64], right: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say which pixels lie inside each shape: bool[shapes, rows, size, size]."""
    far, distance = np.maximum(down, right), np.hypot(down, right)
    cross = (far < radius) & (np.minimum(down, right) < radius / 3)
    ring = (distance < radius) & (distance > 0.6 * radius)
    return np.stack([distance < radius, far < 0.9 * radius, cross, ring])


def shape_classes(rows: int = 1024, size: int = 32, seed: int = 0) -> Images:
    """Return images of shapes, to tell which shape it is."""
    pixels, numbers, _ = draw_shapes(rows, size, seed)
    return Images(pixels, numbers)


def shape_masks(rows: int = 512, size: int = 32, seed: int = 0) -> Images:
    """Return images of shapes, to tell which pixels belong to it."""
    pixels, _, masks = draw_shapes(rows, size, seed)
    return Images(pixels, masks)


# text messages ---------------------------------------------------------------------------------


@functools.cache
def messages() -> pl.DataFrame:
    """Return the messages of the SMS example; without a network, made-up ones."""
    try:
        return data.load("sms_spam")
    except DataError as error:
        print(f"made-up messages: {error.message.splitlines()[0]}", file=sys.stderr)
    generator = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(500)])
    spam = generator.random(2000) < 0.2
    texts = [
        " ".join(words[(generator.zipf(1.5, generator.integers(3, 30)) + 97 * each) % 500])
        for each in spam
    ]
    labels = np.array(CLASSES)[spam.astype(int)]
    return pl.DataFrame({"row_id": np.arange(2000), "label": labels, "text": texts})


def sms(kind: str, rows: int | None = None) -> ExamplesDataset:
    """Return text messages, encoded for one kind of model."""
    table = messages().head(rows or messages().height)
    return ExamplesDataset(
        Examples.from_table(table, "label", text_featurizer(kind), list(CLASSES))
    )


def sms_model(kind: str, **sizes: Any) -> nn.Module:
    """Return a candidate of the SMS example."""
    return build_model(ModelSpec.for_text(kind, text_featurizer(kind), CLASSES, **sizes))


# a look at each --------------------------------------------------------------------------------


def try_out(workload: Workload, steps: int, rows: int, batch_size: int) -> list[float]:
    """Train for some steps as the plain loop does; return the losses."""
    feed, objective = Feed(workload.data(rows=rows), batch_size, seed=0), Objective(workload.loss)
    losses = []
    with steady(threads=1):
        model = seeded(workload.factory, 0)
        optimizer = torch.optim.AdamW(model.parameters(), workload.lr, fused=True)
        for step in range(steps):
            batch = feed.batch(step)
            optimizer.zero_grad()
            with KeyedDraws(0, DRAWS, step, 0):
                loss = objective(model(*batch.inputs), batch) / batch.weight
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each workload's parameters, seconds a step, first and last loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="python", help="python, shakespeare, or a file")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args(arguments)
    for name, workload in workloads(options.text).items():
        count = sum(each.numel() for each in workload.factory().parameters())
        began = time.perf_counter()
        losses = try_out(workload, options.steps, options.rows, options.batch)
        seconds = (time.perf_counter() - began) / options.steps
        told = f"{seconds * 1e3:7.1f} ms a step, loss {losses[0]:.3f} to {losses[-1]:.3f}"
        print(f"{name:<16}{count:>12,} parameters {told}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
