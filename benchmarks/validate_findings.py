"""False alarms on clean data, and how much of bad data is found.

Clean: two disjoint random parts of one table; the schema and the baseline come from the first, the
second is checked. Bad: the second part is spoilt first. A run alarms where a finding is an error.
With a folder of taxi data (`--folder`, holding taxi_train.csv.gz and taxi_eval.csv.gz) that data
takes part; the others come from the catalogue of example data. With a folder of TFDV's recorded
answers (`--cases`) they are held against ours too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

if __name__ in ("__main__", "__mp_main__"):
    # One thread a process, and as many processes as asked for; read when polars is loaded.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

from claims import RECORDED, Claim, claim, conclude
from gristmill.core.errors import DataError
from gristmill.core.seeds import derive_seed
from gristmill.data.catalog import load
from gristmill.data.table import ROW_ID
from gristmill.validate import Schema, Statistics, profile
from validate_corruptions import CORRUPTIONS

Rng = np.random.Generator
Sizes = tuple[int, int]

SPLITS = 1000
SMALLEST, LARGEST = 200, 10_000
POWER_SIZES: tuple[Sizes, ...] = (
    (10_000, 5_000), (5_000, 1_000), (2_000, 2_000), (1_000, 1_000), (500, 500), (5_000, 200),
    (200, 200),
)  # fmt: skip
SEEDS = 10
EVIDENTLY = "Evidently 0.7 defaults"
EVIDENTLY_CAUGHT, EVIDENTLY_TRIED = 8, 11
TFDV_CLEAN_ALARMS = 1.0
"""TFDV's Jensen-Shannon check at 0.01 alarmed on the clean split that was recorded."""


def measure(options: argparse.Namespace) -> Iterator[Claim]:
    quick, folder = options.quick, options.folder
    names = [name for name in CORRUPTIONS if table(name, folder) is not None]
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        if names:
            yield from clean_claims(pool, names, folder, 100 if quick else SPLITS)
        seeds, sizes = (1, POWER_SIZES[:2]) if quick else (SEEDS, POWER_SIZES)
        for name in names:
            yield power_claim(pool, name, folder, seeds, sizes)
    yield from year_claims()
    if options.cases is not None:
        import validate_tfdv_cases

        yield from validate_tfdv_cases.claims(options.cases, options.index)


@cache
def table(name: str, folder: Path | None = None) -> pl.DataFrame | None:
    """Return a table by name; None, with a word why, where it cannot be had."""
    if name == "taxi" and folder is not None:
        files = [folder / f"taxi_{part}.csv.gz" for part in ("train", "eval")]
        parts = [pl.read_csv(file, infer_schema_length=None) for file in files]
        return pl.concat(parts, how="vertical_relaxed")
    if name == "taxi":
        print("taxi left out: no --folder is given", file=sys.stderr)
        return None
    try:
        return load(name).drop(ROW_ID)
    except DataError as error:
        print(f"{name} left out: {error}", file=sys.stderr)
        return None


def clean_claims(
    pool: Executor, names: Sequence[str], folder: Path | None, splits: int
) -> Iterator[Claim]:
    alarms, each = 0, splits // len(names)
    for name in names:
        jobs = [(name, folder, seed) for seed in range(each)]
        found = list(pool.map(_clean, jobs, chunksize=8))
        codes = Counter(code for run in found for code in run)
        mine = sum(map(bool, found))
        print(f"clean {name}: {mine} of {each} alarm; {dict(codes.most_common())}")
        alarms += mine
    how = f"{each * len(names)} disjoint random splits of {' and '.join(names)} data, sizes "
    how += f"{SMALLEST} to {LARGEST:,} each; share with any error; peer TFDV's Jensen-Shannon "
    how += f"limit of 0.01 on one clean split {RECORDED}"
    yield claim(
        "clean splits that alarm", 100 * alarms / (each * len(names)), "%", how,
        goal="<= 1", peer=100 * TFDV_CLEAN_ALARMS,
    )  # fmt: skip


def _clean(job: tuple[str, Path | None, int]) -> list[str]:
    name, folder, seed = job
    frame, rng = _known(name, folder), np.random.default_rng(derive_seed(0, "clean", name, seed))
    one, two = split(frame, drawn_sizes(rng, frame.height), rng)
    return errors(*learnt(one), two)


def drawn_sizes(rng: Rng, rows: int) -> Sizes:
    """Draw two sizes, evenly in their logarithm; both shrink where the table has fewer rows."""
    low, high = np.log([SMALLEST, LARGEST])
    one, two = np.exp(rng.uniform(low, high, 2))
    fit = min(1.0, rows / (one + two))
    return int(one * fit), int(two * fit)


def split(frame: pl.DataFrame, rows: Sizes, rng: Rng) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = rng.permutation(frame.height)
    return frame[order[: rows[0]]], frame[order[rows[0] : sum(rows)]]


def learnt(baseline: pl.DataFrame) -> tuple[Schema, Statistics]:
    statistics = profile(baseline)
    return Schema.infer(statistics), statistics


def errors(schema: Schema, baseline: Statistics, current: pl.DataFrame) -> list[str]:
    """Return `code feature` of every error that a check of `current` finds."""
    report = schema.check(current, baseline=baseline)
    return [f"{f.code} {f.feature}" for f in report.findings if f.severity == "error"]


def power_claim(
    pool: Executor, name: str, folder: Path | None, seeds: int, sizes: Iterable[Sizes]
) -> Claim:
    """Spoil parts of a table in every way, print the share that is found, and claim the sum."""
    sizes = list(sizes)
    jobs = [(name, folder, pair, seed) for pair in sizes for seed in range(seeds)]
    hits = np.array(list(pool.map(_power, jobs)), dtype=np.float64)
    shares = hits.reshape(len(sizes), seeds, -1).mean(axis=1).T
    print(f"\n{name:34}" + "".join(f"{f'{a}/{b}':>12}" for a, b in sizes))
    for title, row in zip(CORRUPTIONS[name], shares, strict=True):
        print(f"{title:34}" + "".join(f"{100 * share:10.0f} %" for share in row))
    print(f"{'all':34}" + "".join(f"{100 * share:10.1f} %" for share in shares.mean(axis=0)))
    how = f"share of {seeds} seeds x {len(shares)} corruptions of {name} data found, "
    how += f"baseline {sizes[0][0]:,} rows, checked {sizes[0][1]:,}"
    peer = None
    if name == "taxi":
        peer = 100 * EVIDENTLY_CAUGHT / EVIDENTLY_TRIED
        how += f"; peer {EVIDENTLY} on {EVIDENTLY_TRIED} corruptions of the same data {RECORDED}"
    ours = 100 * float(shares[:, 0].mean())
    return claim(f"corruptions of {name} data found", ours, "%", how, goal=">= 100", peer=peer)


def _power(job: tuple[str, Path | None, Sizes, int]) -> list[bool]:
    name, folder, pair, seed = job
    rng = np.random.default_rng(derive_seed(0, "power", name, *pair, seed))
    one, two = split(_known(name, folder), pair, rng)
    known = learnt(one)
    spoilt = (corruption(two, rng, one) for corruption in CORRUPTIONS[name].values())
    return [bool(errors(*known, bad)) for bad in spoilt]


def _known(name: str, folder: Path | None) -> pl.DataFrame:
    frame = table(name, folder)
    if frame is None:
        raise LookupError(f"{name} was there when the run began")
    return frame


def year_claims() -> Iterator[Claim]:
    accidents = table("us_accidents")
    if accidents is not None:
        told = by_year(accidents, "year_acc", (2016, 2017, 2019, 2020, 2021))
        yield claim(
            "US accidents: later years told from 2016", 100 * told, "%",
            "share of the years 2017, 2019, 2020, 2021 with an error, checked against 2016",
            goal=">= 100",
        )  # fmt: skip
    before, after = table("acs_employment_2015"), table("acs_employment_2016_2018")
    if before is not None and after is not None:
        # Ids count on from year to year, and so are no feature; labels come with 2015 alone.
        parts = [part.drop("id", "employed", strict=False) for part in (before, after)]
        census = pl.concat(parts, how="vertical_relaxed")
        told = by_year(census, "year", (2015, 2016, 2017, 2018))
        yield claim(
            "ACS employment: years told from 2015", 100 * told, "%",
            "share of the years 2016, 2017, 2018 with an error, checked against 2015; hardly "
            "anything has changed", goal="<= 0",
        )  # fmt: skip


def by_year(frame: pl.DataFrame, column: str, years: tuple[int, ...]) -> float:
    parts = [frame.filter(pl.col(column) == year).drop(column) for year in years]
    known = learnt(parts[0])
    found = [errors(*known, part) for part in parts[1:]]
    for year, codes in zip(years[1:], found, strict=True):
        print(f"{column} {year} against {years[0]}: {', '.join(codes) or 'silent'}")
    return sum(map(bool, found)) / len(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quick look, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims here")
    parser.add_argument("--folder", type=Path, help="where taxi_train.csv.gz and its sister lie")
    parser.add_argument("--cases", type=Path, help="where TFDV's recorded cases lie, unpacked")
    parser.add_argument("--index", type=Path, help="their list; index.json in that folder if not")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    return conclude(list(measure(options)), options)


if __name__ == "__main__":
    sys.exit(main())
