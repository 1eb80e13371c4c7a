"""Batch prediction beside the loop that one would write by hand over the same partitions.

Both read Parquet partitions, run the same module, and write one Parquet partition for each, with
row ids, labels and probabilities. Ours also checks every row against the signature, gives each an
id that can be traced, and goes on after a kill.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from claims import Claim, claim, main
from gristmill.data.features import Columns, Featurizer, HashedNgrams
from gristmill.serve import predict_table
from gristmill.store.bundle import Bundle
from gristmill.train.bundle import bundle_model
from gristmill.train.text.text_models import BagOfNgrams

GOAL = ">= 0.95"
ROUNDS = 5
PART_ROWS = 1 << 16
BATCH_ROWS = 8192
FEATURES, CLASSES = 16, 10
BUCKETS = 1 << 16
MOST_WORDS = 40


class Workload(NamedTuple):
    """A model, what makes its input of a frame, and its table in partitions."""

    name: str
    module: nn.Module
    featurizer: Featurizer
    encode: Callable[[pl.DataFrame], Tensor]
    rows: int
    make: Callable[[int, int], pl.DataFrame]
    columns: list[str]


def measure(quick: bool) -> Iterator[Claim]:
    for workload in (tabular(quick), text(quick)):
        with tempfile.TemporaryDirectory() as place:
            yield from compared(workload, Path(place), 1 if quick else ROUNDS)


def tabular(quick: bool) -> Workload:
    """Return a perceptron 16-64-10 over columns of numbers."""
    names = [f"x{number}" for number in range(FEATURES)]
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES)).eval()

    def make(part: int, rows: int) -> pl.DataFrame:
        values = np.random.default_rng(part).normal(size=(FEATURES, rows)).astype(np.float32)
        return pl.DataFrame(dict(zip(names, values, strict=True)))

    def encode(frame: pl.DataFrame) -> Tensor:
        return torch.from_numpy(frame.select(names).to_numpy(order="c"))

    rows = 500_000 if quick else 5_000_000
    return Workload("tabular perceptron", module, Columns(tuple(names)), encode, rows, make, names)


def text(quick: bool) -> Workload:
    """Return a linear model of hashed n-grams over texts of mixed lengths."""
    featurizer = HashedNgrams(buckets=BUCKETS)
    torch.manual_seed(0)
    module = BagOfNgrams(BUCKETS, 2)
    with torch.no_grad():
        module.weights.weight[1:].normal_()
    words = np.array([f"word{number}" for number in range(5000)])

    def make(part: int, rows: int) -> pl.DataFrame:
        draw = np.random.default_rng(part)
        lengths = draw.integers(1, MOST_WORDS, rows)
        texts = [" ".join(draw.choice(words, length)) for length in lengths]
        return pl.DataFrame({"text": texts})

    def encode(frame: pl.DataFrame) -> Tensor:
        return torch.from_numpy(featurizer.encode(frame["text"].to_list()))

    rows = PART_ROWS // 2 if quick else 3 * PART_ROWS
    return Workload("text of n-grams", module.eval(), featurizer, encode, rows, make, ["text"])


def compared(workload: Workload, place: Path, times: int) -> Iterator[Claim]:
    """Run both loops in turns."""
    classes = [f"class{number}" for number in range(workload.module(sample(workload)).shape[1])]
    bundle = bundle_model(workload.module, place / "bundle", name="bench", classes=classes,
                          featurizer=workload.featurizer)  # fmt: skip
    files = partitions(workload, place / "data")
    by_hand, ours, one_file = list[float](), list[float](), list[float]()
    for number in range(times + 1):  # the first round warms up
        took = timed(lambda: loop(workload, classes, files, place / "hand"))
        mine = timed(lambda: ours_of(bundle, place / "data", place / "ours"))
        single = timed(lambda: ours_of(bundle, place / "data", place / "ours.parquet"))
        if number:
            by_hand.append(took)
            ours.append(mine)
            one_file.append(single)
    agree(place)
    rows = workload.rows
    speed = rows / statistics.median(ours)
    hand = rows / statistics.median(by_hand)
    single = rows / statistics.median(one_file)
    how = (f"{rows:,} rows in partitions of {PART_ROWS:,}; the loop uses "
           f"{torch.get_num_threads()} threads of torch; median of {times}")  # fmt: skip
    yield claim(f"{workload.name}: rows a second", speed, "rows/s", how, peer=hand,
                more_is_better=True)  # fmt: skip
    ratios = [theirs / mine for theirs, mine in zip(by_hand, ours, strict=True)]
    yield claim(f"{workload.name}: of the loop's speed", statistics.median(ratios), "x", how,
                goal=GOAL)  # fmt: skip
    yield claim(f"{workload.name}: joined into one file", single, "rows/s", how, peer=hand,
                more_is_better=True)  # fmt: skip


def ours_of(bundle: Bundle, data: Path, out: Path) -> None:
    """Predict with `predict_table`."""
    predict_table(bundle, data, out, batch_rows=BATCH_ROWS, part_rows=PART_ROWS)


def partitions(workload: Workload, folder: Path) -> list[Path]:
    """Write the table."""
    folder.mkdir()
    files = []
    for part, start in enumerate(range(0, workload.rows, PART_ROWS)):
        files.append(folder / f"part-{part:05d}.parquet")
        rows = min(PART_ROWS, workload.rows - start)
        workload.make(part, rows).write_parquet(files[-1], compression="snappy")
    return files


def loop(workload: Workload, classes: list[str], files: list[Path], out: Path) -> None:
    """Predict partition by partition, as one would by hand."""
    out.mkdir(exist_ok=True)
    names = np.array(classes)
    start = 0
    for number, file in enumerate(files):
        frame = pl.read_parquet(file, columns=workload.columns)
        with torch.inference_mode():
            parts = [
                workload.module(workload.encode(batch)).double().softmax(1).numpy()
                for batch in frame.iter_slices(BATCH_ROWS)
            ]
        probs = np.concatenate(parts)
        best = probs.argmax(1)
        pl.DataFrame(
            {
                "row_id": np.arange(start, start + frame.height),
                "label": names[best],
                "prob": probs[np.arange(len(probs)), best],
                "probs": pl.Series(probs).arr.to_list(),
            }
        ).write_parquet(out / f"part-{number:05d}.parquet", compression="snappy")
        start += frame.height


def agree(place: Path) -> None:
    """Make sure that both gave the same answers.

    Raises:
        RuntimeError: they did not.
    """
    hand = pl.read_parquet(place / "hand" / "*.parquet").sort("row_id")
    for name in ("ours/*.parquet", "ours.parquet"):
        ours = pl.read_parquet(place / name)
        same = np.allclose(hand["prob"], ours["prob"], rtol=0, atol=1e-6)
        if not same or not hand["row_id"].equals(ours["row_id"]):
            raise RuntimeError("the loops disagree")


def sample(workload: Workload) -> Tensor:
    """Return the input of two rows."""
    return workload.encode(workload.make(0, 2))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main(measure))
