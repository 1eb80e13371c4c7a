"""What profiling a table costs: CPU seconds, memory, wide tables, and checking many features.

CPU seconds are of all threads, without imports; each figure is the median of three processes of
their own (of one in a quick run). The first argument may be a folder with `taxi_train.csv.gz` (the
Chicago taxi sample of TFX); without it data like it is made. A second folder, with `exact_*.json`,
adds how well the figures agree with these. TFDV is measured where it is installed; it does not
install everywhere, and its figures were recorded otherwise.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from claims import RECORDED, Claim, claim, main
from gristmill.core.seeds import derive_seed
from validate_exact import exact_claims

TAXI = "taxi_train.csv.gz"
MILLION = 1_000_000
TFDV_CSV, TFDV_FRAME, TFDV_WIDE, TFDV_CHECK = 39.9, 3.6, 5.6, 2.3
WIDE_ROWS = WIDE_COLUMNS = 2000
_TEXT_COLUMNS = ("company", "payment_type")


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sizes = (MILLION // 10,) if quick else (MILLION, 5 * MILLION)
        times = 1 if quick else 3
        for rows in sizes:
            yield from file_claims(folder, rows, times)
        yield from wide_claims(folder, WIDE_COLUMNS // 4 if quick else WIDE_COLUMNS, times)
    if FOLDER is not None and TRUTHS is not None:
        yield from exact_claims(FOLDER, TRUTHS)


def file_claims(folder: Path, rows: int, times: int) -> Iterator[Claim]:
    """Profile the same rows from CSV and from Parquet, and let others look at them."""
    table, told = taxi()
    big = pl.concat([table] * (rows // table.height + 1)).head(rows)
    big.write_csv(folder / "taxi.csv")
    big.write_parquet(folder / "taxi.parquet", row_group_size=1 << 17)
    table.head(1000).write_csv(folder / "few.csv")
    table.head(1000).write_parquet(folder / "few.parquet")
    del big
    for kind, goal, recorded in (("csv", 1.2, TFDV_CSV), ("parquet", 0.7, TFDV_FRAME)):
        path = folder / f"taxi.{kind}"
        ours = spent("ours", path, times)
        millions = rows / MILLION
        how = f"{rows:,} rows x {table.width} columns, {told}"
        peer, whose = recorded, f"TFDV 1.16, {'CSV' if kind == 'csv' else 'data frame'} {RECORDED}"
        if find_spec("tensorflow_data_validation") is not None:
            peer, whose = spent("tfdv", path, times)["cpu"] / millions, "TFDV, in the same run"
        yield claim(
            f"full statistics per million {kind} rows, of {rows:,}",
            ours["cpu"] / millions, "CPU s",
            f"{how}; peer {whose}", goal=f"<= {goal}", peer=peer,
        )  # fmt: skip
        yield claim(
            f"peak memory, {rows:,} {kind} rows", ours["peak"], "MB",
            f"{how}; {ours['loaded']:.0f} MB once imported", goal="<= 400",
        )  # fmt: skip
        yield from rivals(path, ours["cpu"] / millions, rows, times, how)


def rivals(path: Path, ours: float, rows: int, times: int, how: str) -> Iterator[Claim]:
    """Tell what others that do less cost on the same file in the same run."""
    for rival, module, does in (
        ("polars", "polars", "Polars' bare aggregates (moments, extremes, approximate uniques)"),
        ("pandas", "pandas", "pandas read and describe(include='all')"),
        ("duckdb", "duckdb", "DuckDB SUMMARIZE"),
    ):
        if find_spec(module) is not None and (module != "pandas" or find_spec("pyarrow")):
            theirs = spent(rival, path, times)["cpu"] * MILLION / rows
            yield claim(
                f"{rows:,} {path.suffix[1:]} rows beside {rival}", ours, "CPU s per million rows",
                f"{how}; peer {does}, in the same run", peer=theirs, more_is_better=False,
            )  # fmt: skip


def wide_claims(folder: Path, columns: int, times: int) -> Iterator[Claim]:
    """Profile and check a table of very many columns, a tenth of them text."""
    path = folder / "wide.parquet"
    wide(columns).write_parquet(path)
    peer = columns == WIDE_COLUMNS
    size = f"{WIDE_ROWS:,} rows x {columns:,} columns, 10 % text"
    whose = f"; peer TFDV 1.16 {RECORDED}" if peer else ""
    yield claim(
        f"full statistics of {columns:,} columns", spent("wide", path, times)["cpu"], "CPU s",
        f"{size}, in memory{whose}", goal="<= 0.5", peer=TFDV_WIDE if peer else None,
    )  # fmt: skip
    cost = spent("check", path, times)
    yield claim(
        f"check of {columns:,} features", cost["cpu"], "CPU s",
        f"statistics against their schema{whose}", goal="<= 0.1",
        peer=TFDV_CHECK if peer else None,
    )  # fmt: skip
    yield claim(
        "check of features, growth of twice as many", cost["growth"], "times the CPU",
        f"{columns:,} features beside half of them; 2 is linear, 4 quadratic", goal="<= 2.6",
    )  # fmt: skip


def taxi() -> tuple[pl.DataFrame, str]:
    """Read the taxi sample, or make a table with columns like its."""
    if FOLDER is not None:
        table = pl.read_csv(FOLDER / TAXI, infer_schema_length=None)
        full = [name for name in table.columns if table[name].null_count() < table.height]
        empty = [name for name in table.columns if name not in full]
        return table.with_columns(pl.col(empty).cast(pl.Int64)), "the taxi sample, repeated"
    return made_taxi(), "made data with the taxi sample's cardinalities, repeated"


def made_taxi(rows: int = 10_000) -> pl.DataFrame:
    """Make trips: 16 numeric and 2 text columns, with the gaps and cardinalities of the sample."""
    rng = np.random.default_rng(derive_seed(0, "taxi"))
    columns: dict[str, pl.Series] = {}
    codes = {"month": 12, "hour": 24, "day": 7, "pickup_area": 56, "dropoff_area": 68, "tract": 100}
    for name, values in codes.items():
        columns[name] = pl.Series(rng.integers(1, values + 1, rows))
    for name, values in (
        ("pickup_lat", 219),
        ("pickup_lon", 219),
        ("end_lat", 273),
        ("end_lon", 273),
    ):
        places = rng.uniform(-88, 42, values)
        columns[name] = pl.Series(places[rng.integers(0, values, rows)])
    for name in ("fare", "tips", "miles"):
        columns[name] = pl.Series(np.round(rng.gamma(1.0, 8.0, rows), 2))
    columns["seconds"] = pl.Series(60 * rng.integers(0, 300, rows))
    columns["started"] = pl.Series(rng.integers(1_357_000_000, 1_485_000_000, rows))
    columns["empty"] = pl.Series([None] * rows, dtype=pl.Int64)
    for name, values in zip(_TEXT_COLUMNS, (52, 7), strict=True):
        texts = np.array([f"{name} number {i} of the town" for i in range(values)])
        columns[name] = pl.Series(texts[rng.integers(0, values, rows)].tolist())
    gaps = pl.Series(rng.random(rows) < 0.03)
    made = pl.DataFrame(columns)
    return made.with_columns(
        pl.when(~gaps).then(name).alias(name) for name in ("end_lat", "end_lon", "company")
    )


def wide(columns: int) -> pl.DataFrame:
    rng = np.random.default_rng(derive_seed(0, "wide"))
    words = np.array(["red", "green", "blue", "grey"])
    return pl.DataFrame(
        {
            f"c{i}": rng.normal(size=WIDE_ROWS)
            if i % 10
            else words[rng.integers(0, 4, WIDE_ROWS)].tolist()
            for i in range(columns)
        }
    )


def spent(job: str, path: Path, times: int) -> dict[str, float]:
    """Run a job some times, each in a process of its own, and return what the median one cost."""
    costs = sorted((_spent_once(job, path) for _ in range(times)), key=lambda cost: cost["cpu"])
    return costs[times // 2]


def _spent_once(job: str, path: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--job", job, str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    cost: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return cost


def run_job(job: str, path: Path) -> dict[str, float]:
    work = {"ours": _ours, "polars": _polars, "pandas": _pandas, "duckdb": _duckdb,
            "tfdv": _tfdv, "wide": _wide, "check": _check}[job]  # fmt: skip
    return work(path)


def _timed(work: Callable[[Any], object], subject: object) -> dict[str, float]:
    loaded, began = _peak(), time.process_time()
    work(subject)
    return {"cpu": time.process_time() - began, "loaded": loaded, "peak": _peak()}


def _timed_file(work: Callable[[Path], object], path: Path) -> dict[str, float]:
    """Time the work on a file, after a few rows: what is loaded late is loaded by then."""
    work(path.with_stem("few"))
    return _timed(work, path)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ours(path: Path) -> dict[str, float]:
    from gristmill.validate import profile

    return _timed_file(profile, path)


def _polars(path: Path) -> dict[str, float]:
    def work(path: Path) -> None:
        scan = pl.scan_csv(path) if path.suffix == ".csv" else pl.scan_parquet(path)
        types = scan.collect_schema()
        numbers = [name for name, dtype in types.items() if dtype.is_numeric()]
        figures = [
            getattr(pl.col(name), figure)().alias(f"{name} {figure}")
            for name in numbers
            for figure in ("mean", "std", "min", "max", "null_count")
        ]
        figures += [pl.col(name).approx_n_unique().alias(f"{name} unique") for name in types]
        scan.select(figures).collect(engine="streaming")

    return _timed_file(work, path)


def _pandas(path: Path) -> dict[str, float]:
    import pandas as pd

    def work(path: Path) -> None:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        frame.describe(include="all")

    return _timed_file(work, path)


def _duckdb(path: Path) -> dict[str, float]:
    import duckdb

    def work(path: Path) -> None:
        duckdb.connect().execute(f"SUMMARIZE SELECT * FROM '{path}'").fetchall()

    return _timed_file(work, path)


def _tfdv(path: Path) -> dict[str, float]:
    import pandas as pd

    tfdv = import_module("tensorflow_data_validation")  # without stubs, and hardly ever there

    def work(path: Path) -> None:
        if path.suffix == ".csv":
            tfdv.generate_statistics_from_csv(str(path))
        else:
            tfdv.generate_statistics_from_dataframe(pd.read_parquet(path))

    return _timed_file(work, path)


def _wide(path: Path) -> dict[str, float]:
    from gristmill.validate import profile

    frame = pl.read_parquet(path)
    profile(frame[:10, :20])
    return _timed(profile, frame)


def _check(path: Path) -> dict[str, float]:
    from gristmill.validate import Schema, profile

    frame = pl.read_parquet(path)
    costs = []
    for columns in (frame.width // 2, frame.width):
        statistics = profile(frame[:, :columns])
        schema = Schema.infer(statistics)
        schema.check(statistics)  # figures that are computed once, and late imports
        costs.append(_timed(schema.check, statistics)["cpu"])
    return {"cpu": costs[1], "growth": costs[1] / costs[0]}


def folder_in(arguments: list[str], holds: str = TAXI) -> Path | None:
    """Take the folder that holds a file (a pattern), if one is given, out of the arguments."""
    folders = (each for each in arguments[1:] if any(Path(each).glob(holds)))
    found = next(folders, None)
    if found is not None:
        arguments.remove(found)
    return None if found is None else Path(found)


FOLDER: Path | None = None
TRUTHS: Path | None = None

if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(run_job(sys.argv[2], Path(sys.argv[3]))))
    else:
        FOLDER, TRUTHS = folder_in(sys.argv), folder_in(sys.argv, "exact_*.json")
        sys.exit(main(measure))
