"""What engines cost beside a loop over `multiprocessing` that one would write by hand, how
labelling and profiling grow from one worker to two, and what a driver needs of memory.

Loop and engine do the same partitions in turns, both warm; a partition is a second of processor
time, or nothing at all. Costs are processor seconds of all processes, the engine's own included:
they say the same on a busy machine, where the clock does not. Ray and Spark are measured where they
are installed. `--large GB` makes a Parquet input of that size with 200 row groups, profiles, labels
and predicts it on two local processes, and tells the memory of the driver, a process of its own for
each stage.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from claims import Claim, as_text, claim, must, write
from gristmill import label
from gristmill.engine import Engine, open_engine
from gristmill.engine.installations import installations
from gristmill.validate import profile
from process_tree import Took, took

PROCESSES = 2
OVERHEAD = {"local": "<= 5", "ray": "<= 10", "spark": "<= 30"}
PARTS = 32
STEPS = 600_000
GROUPS = 200
STAGES = ("profile", "label", "predict")
WORDS = ("free", "call", "prize", "win", "stop", "cash", "lol", "sorry", "home", "love")


def measure(options: argparse.Namespace) -> Iterator[Claim]:
    ready = {each.engine for each in installations() if each.ready}
    for name in [name for name in OVERHEAD if name in ready and name in options.engines]:
        with open_engine(name, workers=PROCESSES) as engine:
            yield from overhead_claims(engine, options.quick)
    if "local" in options.engines:
        yield from scaling_claims(options.quick)
    if options.large:
        yield from large_claims(options.large, options.folder)


def burn(seconds: float) -> float:
    """Use the processor for so many seconds; being interrupted does not count."""
    end = time.thread_time() + seconds
    total = 0.0
    while time.thread_time() < end:
        total += sum(range(1000))
    return total


def nothing(number: int) -> int:
    """Be a partition that is done at once."""
    return number


def overhead_claims(engine: Engine, quick: bool) -> Iterator[Claim]:
    """Compare an engine with the loop at long partitions and at empty ones."""
    seconds, each, times = (0.2, 4, 2) if quick else (1.0, 5, 3)
    empty = (200 if quick else 2000) if engine.name == "local" else (50 if quick else 200)
    long = [seconds] * (each * PROCESSES)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        loops: list[tuple[Callable[[], object], Callable[[], object]]] = [
            (lambda: list(pool.imap(burn, long)), lambda: list(engine.map(burn, long))),
            (
                lambda: list(pool.imap(nothing, range(empty))),
                lambda: list(engine.map(nothing, range(empty))),
            ),
        ]
        (by_hand, ours), (hand_empty, ours_empty) = [
            zip(*in_turns(times, *both), strict=True) for both in loops
        ]
    # Spark's Python processes end unburied: what they used is lost, so there the clock has to do.
    cost, said = (
        (by_clock, "by the clock")
        if engine.name == "spark"
        else (by_processors, "processor time of all processes")
    )
    over = [100 * (cost(m) / cost(t) - 1) for m, t in zip(ours, by_hand, strict=True)]
    clock = statistics.median(m.wall / t.wall for m, t in zip(ours, by_hand, strict=True))
    how = (
        f"{said}; {len(long)} partitions of {seconds} s on {PROCESSES} processes, warm; "
        f"by the clock {clock:.2f} times a loop's; median of {times} in turns"
    )
    yield claim(
        f"{engine.name}: time over a loop's", statistics.median(over), "%", how,
        goal=OVERHEAD[engine.name],
    )  # fmt: skip
    mine, theirs = (
        1000 * statistics.median(cost(each) for each in runs) / empty
        for runs in (ours_empty, hand_empty)
    )
    clock = 1000 * statistics.median(each.wall for each in ours_empty) / empty
    yield claim(
        f"{engine.name}: an empty partition", mine, "ms",
        f"{said}; {empty} partitions on {PROCESSES} processes, warm; by "
        f"the clock {clock:.2f} ms; median of {times} in turns",
        goal="<= 2" if engine.name == "local" else None, peer=theirs, more_is_better=False,
    )  # fmt: skip


def by_clock(took: Took) -> float:
    """Return seconds by the clock."""
    return took.wall


def by_processors(took: Took) -> float:
    """Return seconds of all processors."""
    return took.processors


def in_turns(times: int, *works: Callable[[], object]) -> list[list[Took]]:
    """Return what each took, turn by turn, after a round that warms up."""
    return [[took(work) for work in works] for _ in range(times + 1)][1:]


def scaling_claims(quick: bool) -> Iterator[Claim]:
    """Label and profile a Parquet file on one process, then on two; a bare pool does as much."""
    times = 1 if quick else 5
    functions = [keyword(word) for word in WORDS]
    jobs: dict[str, tuple[int, Callable[[Engine, Path, int], object]]] = {
        "labelling": (
            800_000,
            lambda engine, file, rows: label.apply(
                functions, file, classes=2, engine=engine, partition_rows=rows
            ),
        ),
        "profiling": (
            3_200_000,
            lambda engine, file, rows: profile(file, engine=engine, partition_rows=rows),
        ),
    }
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as place,
        open_engine("local:1") as one,
        open_engine("local:2") as two,
        spawn.Pool(1) as lone_pool,
        spawn.Pool(2) as pool,
    ):
        for name, (rows, job) in jobs.items():
            rows //= 8 if quick else 1
            file, part = Path(place) / f"{name}.parquet", rows // PARTS
            messages(rows, 0).write_parquet(file, row_group_size=part)
            turns = in_turns(
                times,
                lambda: job(one, file, part),  # noqa: B023
                lambda: job(two, file, part),  # noqa: B023
                lambda: lone_pool.map(count, [STEPS] * PARTS, 1),
                lambda: pool.map(count, [STEPS] * PARTS, 1),
            )
            alone, both, lone, pair = zip(*turns, strict=True)
            how = f"{rows:,} messages in {PARTS} row groups; median of {times} in turns"
            ratios = [seconds(a, 1) / seconds(b, 2) for a, b in zip(alone, both, strict=True)]
            driver = statistics.median(each.here for each in both)
            workers = statistics.median(each.elsewhere for each in both)
            yield claim(
                f"{name} on 2 workers over 1", statistics.median(ratios), "x",
                f"from processor time: workers {workers:.2f} s, driver {driver:.2f} s, beside each "
                f"other; {how}",
                goal=">= 1.85",
            )  # fmt: skip
            yield claim(
                f"{name} on 2 workers over 1, by the clock", faster(alone, both), "x",
                f"{how}; the peer is a bare pool that counts, in the same turns: what the machine "
                f"gave; {os.cpu_count()} processors",
                goal=">= 1.85", peer=faster(lone, pair),
            )  # fmt: skip


def count(steps: int) -> int:
    """Do so much work, however long it takes."""
    return sum(len(range(step)) for step in range(steps))


def faster(alone: Sequence[Took], both: Sequence[Took]) -> float:
    """Return how many times faster two were by the clock."""
    return statistics.median(a.wall / b.wall for a, b in zip(alone, both, strict=True))


def seconds(spent: Took, workers: int) -> float:
    """Return how long some work takes where each process has a processor of its own."""
    return max(spent.here, spent.elsewhere / workers)


def keyword(word: str) -> label.LabelingFunction:
    """Return a labelling function of one row that looks for a word."""
    return label.LabelingFunction(word, has_word, resources={"word": word})


def has_word(row: Any, word: str) -> int | None:
    """Vote 1 where a message has the word."""
    return 1 if word in row.text.split() else None


def messages(rows: int, seed: int) -> pl.DataFrame:
    """Return texts, categories and numbers that nothing compresses well."""
    draw = np.random.default_rng(seed)
    vocabulary = np.array([*WORDS, *(f"word{number}" for number in range(2000))])
    picked = vocabulary[draw.integers(0, len(vocabulary), (rows, 12))]
    texts = [" ".join(words) for words in picked]
    numbers = {f"x{number}": draw.normal(size=rows) for number in range(8)}
    places = draw.integers(0, 50, rows).astype(str)
    return pl.DataFrame({"text": texts, "place": places, **numbers})


def large_claims(gigabytes: float, folder: Path | None) -> Iterator[Claim]:
    """Run each stage over a large input, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = Path(place) / "large.parquet"
        began = time.perf_counter()
        rows = make_large(file, gigabytes)
        size, made = file.stat().st_size / 1e9, time.perf_counter() - began
        for stage in STAGES:
            job = Path(__file__).with_name("engines_large.py")
            told = must([sys.executable, job, stage, file, Path(place) / stage])
            seconds, driver, workers = (float(each) for each in told.stdout.split()[-3:])
            how = (
                f"{size:.1f} GB of Parquet, {rows:,} rows in {GROUPS} row groups (made in "
                f"{made:.0f} s), local:{PROCESSES}; took {seconds:.0f} s, the largest worker "
                f"{workers:.2f} GB"
            )
            yield claim(f"{stage}: peak memory of the driver", driver, "GB", how, goal="<= 2")


def make_large(file: Path, gigabytes: float) -> int:
    """Write a Parquet file of about that size, a row group at a time; return its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    few = messages(20_000, 0).to_arrow()
    rows = max(1000, int(gigabytes * 1e9 / GROUPS / (few.nbytes / few.num_rows)))
    base = messages(rows, 1)
    with pq.ParquetWriter(
        file, base.to_arrow().schema, compression="none", use_dictionary=False
    ) as out:
        for number in range(GROUPS):
            draw = np.random.default_rng(number)
            fresh = {f"x{at}": draw.normal(size=rows) for at in range(8)}
            # Texts are those of the first group in another order: making them takes the longest.
            texts = base["text"].gather(draw.permutation(rows))
            group = base.with_columns(texts, **{name: pl.Series(x) for name, x in fresh.items()})
            out.write_table(pa.table(group.to_arrow()), row_group_size=rows)
    return rows * GROUPS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see `claims.main`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a quick look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims here")
    parser.add_argument("--engines", nargs="*", choices=OVERHEAD, default=list(OVERHEAD))
    parser.add_argument("--large", type=float, default=0.0, metavar="GB", help="of input")
    parser.add_argument("--folder", type=Path, help="where the large input may lie for a while")
    options = parser.parse_args(arguments)
    found = []
    for each in measure(options):
        told = f"{each.how}; quick run" if options.quick else each.how
        found.append(msgspec.structs.replace(each, how=told))
        print(as_text(found[-1:]), flush=True)
        if options.json:
            write(found, options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
