"""Batch prediction beside the loop that one would write by hand over the same partitions.

Both read Parquet partitions, run the same module, and write one Parquet partition for each, with
row ids, labels and probabilities; or both read and write CSV, with a column for the probability of
each class. Ours also checks every row against the signature, gives each an id that can be traced,
and goes on after a kill. Neither finds an output that it would have to replace.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from claims import Claim, claim, main
from gristmill.core.processes.place import allowed_processors
from gristmill.data.features import Columns, Featurizer, HashedNgrams
from gristmill.serve import predict_table
from gristmill.store.bundle import Bundle
from gristmill.train.bundle import bundle_model
from gristmill.train.text.text_models import BagOfNgrams

Kind: TypeAlias = Literal["parquet", "csv"]

GOAL = ">= 0.95"
ROUNDS = 5
PART_ROWS = 1 << 16
BATCH_ROWS = 8192
FEATURES, CLASSES = 16, 10
BUCKETS = 1 << 16
MOST_WORDS = 40


class Spent(NamedTuple):
    """Seconds by the clock, and of processors: the first depend on what else the machine does."""

    wall: float
    processor: float


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
    kinds: list[tuple[Workload, Kind]] = [
        (tabular(500_000 if quick else 5_000_000), "parquet"),
        (tabular(200_000 if quick else 1_000_000), "csv"),
        (text(quick), "parquet"),
    ]
    for workload, kind in kinds:
        with tempfile.TemporaryDirectory() as place:
            yield from compared(workload, kind, Path(place), 1 if quick else ROUNDS)


def tabular(rows: int) -> Workload:
    """Return a perceptron 16-64-10 over columns of numbers."""
    names = [f"x{number}" for number in range(FEATURES)]
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES)).eval()

    def make(part: int, rows: int) -> pl.DataFrame:
        values = np.random.default_rng(part).normal(size=(FEATURES, rows)).astype(np.float32)
        return pl.DataFrame(dict(zip(names, values, strict=True)))

    def encode(frame: pl.DataFrame) -> Tensor:
        return torch.from_numpy(
            frame.select(names).to_numpy(order="c").astype(np.float32, copy=False)
        )

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


def compared(workload: Workload, kind: Kind, place: Path, times: int) -> Iterator[Claim]:
    """Run both loops in turns."""
    classes = [f"class{number}" for number in range(workload.module(sample(workload)).shape[1])]
    bundle = bundle_model(workload.module, place / "bundle", name="bench", classes=classes,
                          featurizer=workload.featurizer)  # fmt: skip
    files = partitions(workload, kind, place / "data")
    outputs = {"one file": place / f"ours.{kind}"}
    if kind == "parquet":
        outputs = {"one file a partition": place / "ours", **outputs}
    by_hand, ours = list[Spent](), {name: list[Spent]() for name in outputs}
    for number in range(times + 1):  # the first round warms up
        for old in (place / "hand", *outputs.values()):
            remove(old)
        took = timed(lambda: loop(workload, kind, classes, files, place / "hand"))
        mine = {name: timed(lambda out=out: ours_of(bundle, place / "data", out))  # type: ignore[misc]
                for name, out in outputs.items()}  # fmt: skip
        if number:
            by_hand.append(took)
            for name, spent in mine.items():
                ours[name].append(spent)
    agree(place / "hand", list(outputs.values()), kind)
    how = (f"{workload.rows:,} rows in partitions of {PART_ROWS:,}, {kind} in and out, on "
           f"{len(allowed_processors())} processors; the loop uses {torch.get_num_threads()} "
           f"threads of torch; median of {times}")  # fmt: skip
    hand = workload.rows / statistics.median(each.wall for each in by_hand)
    for at, (name, spent) in enumerate(ours.items()):
        told = f"{workload.name}, {kind}, {name}"
        speed = workload.rows / statistics.median(each.wall for each in spent)
        pairs = list(zip(by_hand, spent, strict=True))
        walls = statistics.median(theirs.wall / mine.wall for theirs, mine in pairs)
        processors = statistics.median(mine.processor / theirs.processor for theirs, mine in pairs)
        yield claim(f"{told}: rows a second", speed, "rows/s", how, peer=hand, more_is_better=True)
        yield claim(f"{told}: of the loop's speed, by the clock", walls, "x", how,
                    goal=None if at else GOAL, more_is_better=True)  # fmt: skip
        yield claim(f"{told}: processor time, of the loop's", processors, "x", how)


def ours_of(bundle: Bundle, data: Path, out: Path) -> None:
    """Predict with `predict_table`."""
    predict_table(bundle, data, out, batch_rows=BATCH_ROWS, part_rows=PART_ROWS)


def partitions(workload: Workload, kind: Kind, folder: Path) -> list[Path]:
    """Write the table."""
    folder.mkdir()
    files = []
    for part, start in enumerate(range(0, workload.rows, PART_ROWS)):
        files.append(folder / f"part-{part:05d}.{kind}")
        rows = min(PART_ROWS, workload.rows - start)
        write(workload.make(part, rows), files[-1], kind)
    return files


def write(frame: pl.DataFrame, file: Path, kind: Kind) -> None:
    """Write a partition."""
    if kind == "csv":
        frame.write_csv(file)
    else:
        frame.write_parquet(file, compression="snappy")


def loop(workload: Workload, kind: Kind, classes: list[str], files: list[Path], out: Path) -> None:
    """Predict partition by partition, as one would by hand."""
    out.mkdir(exist_ok=True)
    names = np.array(classes)
    read = pl.read_csv if kind == "csv" else pl.read_parquet
    start = 0
    for number, file in enumerate(files):
        frame = read(file, columns=workload.columns)
        with torch.inference_mode():
            parts = [
                workload.module(workload.encode(batch)).double().softmax(1).numpy()
                for batch in frame.iter_slices(BATCH_ROWS)
            ]
        probs = np.concatenate(parts)
        best = probs.argmax(1)
        table = {
            "row_id": np.arange(start, start + frame.height),
            "label": names[best],
            "prob": probs[np.arange(len(probs)), best],
        }
        if kind == "csv":
            table |= {f"probs.{name}": probs[:, at] for at, name in enumerate(classes)}
        else:
            table |= {"probs": pl.Series(probs).arr.to_list()}
        write(pl.DataFrame(table), out / f"part-{number:05d}.{kind}", kind)
        start += frame.height


def remove(output: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if output.is_dir():
        shutil.rmtree(output)
    output.unlink(missing_ok=True)


def agree(hand: Path, outputs: list[Path], kind: Kind) -> None:
    """Make sure that all gave the same answers.

    Raises:
        RuntimeError: they did not.
    """
    read = pl.read_csv if kind == "csv" else pl.read_parquet
    theirs = read(hand / f"*.{kind}").sort("row_id")
    for out in outputs:
        ours = read(out / "*.parquet" if out.is_dir() else out)
        same = np.allclose(probabilities(theirs), probabilities(ours), rtol=0, atol=1e-6)
        if not same or not theirs["row_id"].equals(ours["row_id"]):
            raise RuntimeError("the loops disagree")


def probabilities(table: pl.DataFrame) -> np.ndarray:
    """Return all probabilities of a table: CSV has columns of them, Parquet lists."""
    if "probs" in table.columns:
        return table["probs"].explode().to_numpy()
    return table.select(pl.col(r"^probs\..*$")).to_numpy()


def sample(workload: Workload) -> Tensor:
    """Return the input of two rows."""
    return workload.encode(workload.make(0, 2))


def timed(work: Callable[[], object]) -> Spent:
    """Return the seconds that some work takes, by the clock and of all threads."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - began, time.process_time() - used)


if __name__ == "__main__":
    raise SystemExit(main(measure))
