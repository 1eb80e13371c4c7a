"""The cases recorded from TFDV, and the data that each was made with."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import msgspec
import polars as pl

from gristmill.validate import Schema, Statistics, profile
from gristmill.validate.tfdv.schema_files import import_schema
from gristmill.validate.tfdv.statistics_files import TfdvStatistics, import_statistics

Pairs = set[tuple[str | None, str]]
TRAIN, EVAL, ADULT = "t37_skew_clean", "t25_drift_clean", "a00_train_vs_own"
"""Cases whose input is the data that others are compared with."""
_KINDS = {"int": pl.Int64, "float": pl.Float64, "bytes": pl.String}
_NESTED = "nested_"


class Case(msgspec.Struct):
    """One line of the index."""

    case: str
    description: str = ""
    input: list[str] = []
    environment: str | None = None
    anomalies: dict[str, list[list[str]]] | None = None
    error: str | None = None
    previous_statistics: str | None = None
    serving_statistics: str | None = None
    tfdv_blind_spot: str | None = None
    tfdv_false_alarm: str | None = None
    drift_skew: list[dict[str, object]] = []


def load(folder: Path, index: Path | None = None) -> list[Case]:
    """Read the list of cases."""
    data = (index or folder / "index.json").read_bytes()
    return msgspec.json.decode(data, type=list[Case])


def is_checked(folder: Path, case: Case) -> bool:
    """Tell whether a case was checked against a schema, or ended with an error."""
    return case.error is not None or (folder / case.case / "schema_used.pbtxt").exists()


def recorded(case: Case) -> Pairs:
    """Return TFDV's anomalies of a case: feature and type."""
    found = case.anomalies or {}
    return {(None if name == "<dataset>" else name, reason[0])
            for name, reasons in found.items() for reason in reasons}  # fmt: skip


def schema_of(folder: Path, case: Case) -> Schema:
    """Read the schema that a case was checked with."""
    own = folder / case.case / "schema_used.pbtxt"
    return import_schema(own if own.exists() else folder / "taxi_S1_relaxed.pbtxt")


def input_of(folder: Path, case: Case) -> Path | pl.DataFrame:
    """Return the path of the input, or the table of a case of lists."""
    path = folder / case.case / case.input[0]
    if path.suffix != ".jsonl":
        return path
    kinds = json.loads((path.parent / "input_types.json").read_text())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return pl.DataFrame([
        pl.Series(name, [_bytes(row[name]) if kind == "bytes" else row[name] for row in rows],
                  dtype=_dtype(kind), strict=False)
        for name, kind in kinds.items()
    ])  # fmt: skip


def _dtype(kind: str) -> pl.DataType:
    inner = pl.List(_KINDS[kind.removeprefix(_NESTED)])
    return pl.List(inner) if kind.startswith(_NESTED) else inner


def _bytes(cells: list[str] | None) -> list[str] | None:
    """Bytes are spelled as latin-1 in JSON; a text reader puts U+FFFD where they are no UTF-8."""
    return cells and [cell.encode("latin-1").decode("utf-8", "replace") for cell in cells]


@cache
def profiled(path: Path) -> Statistics:
    """Profile a file, once."""
    return profile(path)


def previous_of(folder: Path, case: Case) -> Statistics | None:
    """The previous data, as far as it is among the cases; without a feature where that was lost."""
    named = case.previous_statistics or ""
    if named.startswith("adult train"):
        return profiled(folder / ADULT / "input.csv")
    if named.startswith("taxi train"):
        return profiled(folder / TRAIN / "input.csv")
    if named.endswith("removed]"):
        whole = pl.read_csv(folder / TRAIN / "input.csv", infer_schema_length=None)
        return profile(whole.drop(named.split("[")[1].split(" ")[0]))
    return None


def serving_of(folder: Path, case: Case) -> Statistics | None:
    """The serving data, where a case has some."""
    if case.serving_statistics is None:
        return None
    return profiled(folder / EVAL / "input.csv")


def recorded_previous(folder: Path, case: Case) -> TfdvStatistics | None:
    """TFDV's statistics of the previous data."""
    named = case.previous_statistics or ""
    if named == "adult train":
        return import_statistics(folder / "adult_train_stats.pbtxt")[0]
    # With other options than those of the file, the distances could not be the same.
    if named not in ("taxi train", "train[trip_miles removed]"):
        return None
    found = import_statistics(folder / "taxi_train_stats.pbtxt")[0]
    kept = [f for f in found.message.features if named == "taxi train"
            or list(f.path.step) != ["trip_miles"]]  # fmt: skip
    message = type(found.message)(num_examples=found.message.num_examples, features=kept)
    return TfdvStatistics(found.name, found.rows, found.features, found.repeats, message=message)


def recorded_serving(folder: Path, case: Case) -> TfdvStatistics | None:
    """TFDV's statistics of the serving data."""
    if case.serving_statistics is None:
        return None
    return import_statistics(folder / "taxi_eval_stats.pbtxt")[0]
