"""Findings beside what TFDV recorded, case by case.

A case is a folder with `input.csv` (or `.parquet`, `.jsonl` with `input_types.json`), what TFDV was
given (`schema_used.pbtxt`) and what it made (`stats.pbtxt`); `index.json` beside the folders lists
the anomalies, and tags cases in which TFDV is blind or cries wolf. Call with the folder of the
cases.

Each input is read as our tools read it and checked with the imported schema, with the previous and
serving data that TFDV had. TFDV's own conditions are checked, too, on its statistics and on ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl

from claims import Claim, claim, main
from gristmill.core.errors import GristmillError
from gristmill.validate import Report, Schema, Statistics, check
from gristmill.validate.chance import ALARM_LEVEL
from gristmill.validate.drifts.comparators import sound_measures
from gristmill.validate.tfdv.anomaly_types import CUSTOM, type_of
from gristmill.validate.tfdv.conditions import anomalies, measurements
from gristmill.validate.tfdv.schema_files import import_schema, to_message, with_lists
from gristmill.validate.tfdv.statistics_files import import_statistics
from validate_tfdv_inputs import (
    EVAL,
    TRAIN,
    Case,
    Pairs,
    input_of,
    is_checked,
    load,
    previous_of,
    profiled,
    recorded,
    recorded_previous,
    recorded_serving,
    schema_of,
    serving_of,
)  # fmt: skip

_SAME_AS = {
    "INVALID_FEATURE_SHAPE": "valency",
    "FEATURE_TYPE_LOW_NUMBER_VALUES": "valency",
    "FEATURE_TYPE_HIGH_NUMBER_VALUES": "valency",
    "VALUE_NESTEDNESS_MISMATCH": "valency",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "presence",
    "FEATURE_TYPE_LOW_NUMBER_PRESENT": "presence",
    "FEATURE_TYPE_NOT_PRESENT": "presence",
    "FLOAT_TYPE_HAS_NAN": "not finite",
    "FLOAT_TYPE_HAS_INF": "not finite",
    "INT_TYPE_SMALL_INT": "range",
    "INT_TYPE_BIG_INT": "range",
    "FLOAT_TYPE_SMALL_FLOAT": "range",
    "FLOAT_TYPE_BIG_FLOAT": "range",
    "BOOL_TYPE_BIG_INT": "range",
    "COMPARATOR_L_INFTY_HIGH": "drift",
    "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH": "drift",
    "COMPARATOR_LOW_NUM_EXAMPLES": "rows",
    "DATASET_LOW_NUM_EXAMPLES": "rows",
}
"""Types that say the same of a feature: which of them is a matter of words."""

_WARNINGS = ("control_missing", "row_count_change")
_READ = ("reading_note", "unreadable_row")


class Outcome(msgspec.Struct):
    """What we say of a case, beside what TFDV said."""

    case: Case
    ours: Pairs
    theirs: Pairs
    report: Report | None
    error: str = ""
    why: dict[str, str] = {}

    @property
    def apart(self) -> list[str]:
        """What only one of us says, `+` us and `-` TFDV."""
        ours, theirs = _alike(self.ours), _alike(self.theirs)
        sides = (("+", ours - theirs), ("-", theirs - ours))
        return [f"{sign} {name}:{kind}" for sign, side in sides
                for name, kind in sorted(side, key=str)]  # fmt: skip

    @property
    def verdict(self) -> str:
        """`agree`; `known`: apart for a reason that is told; `differ`; `read` or `error`."""
        if self.error:
            return "error"
        if self.case.error:
            return "read" if self.report else "error"
        if not self.apart:
            return "agree"
        return "known" if all(each in self.why for each in self.apart) else "differ"


def claims(folder: Path, index: Path | None = None) -> list[Claim]:
    """Check every case of a folder and tell how often we agree, and where TFDV is wrong.

    Args:
        folder: the cases.
        index: their list; `index.json` in the folder when not given.
    """
    cases = load(folder, index)
    outcomes = [outcome(folder, case) for case in cases if is_checked(folder, case)]
    print("\n".join(_row(each) for each in outcomes))
    return [*_findings(outcomes), *_exact(folder, cases), *_blind(folder, cases, outcomes)]


def outcome(folder: Path, case: Case) -> Outcome:
    """Check one case with its own schema, and with the other data that TFDV had."""
    theirs = recorded(case)
    schema = schema_of(folder, case)
    try:
        data = input_of(folder, case)
        if isinstance(data, pl.DataFrame):
            lists = [name for name in data.columns if isinstance(data[name].dtype, pl.List)]
            schema = with_lists(schema, lists)
        report = check(
            schema, data, baseline=previous_of(folder, case), serving=serving_of(folder, case),
            environment=case.environment,
        )  # fmt: skip
    except GristmillError as error:
        return Outcome(case, set(), theirs, None, error=str(error).splitlines()[0])
    ours = {
        (f.feature, type_of(f, schema.features.get(f.feature or "")))
        for f in report.findings
        if f.severity == "error" or f.code in _WARNINGS
    }
    found = Outcome(case, ours, theirs, report)
    found.why = {each: why for each in found.apart if (why := _why(folder, schema, found, each))}
    return found


def _why(folder: Path, schema: Schema, found: Outcome, apart: str) -> str | None:
    """Say why one of us is right to be silent; None where nothing explains it."""
    sign, _, named = apart.partition(" ")
    name, _, kind = named.rpartition(":")
    assert found.report is not None
    codes = {f.code for f in found.report.findings if f.feature in (name, None)}
    if sign == "+" and found.case.tfdv_blind_spot:
        return "a blind spot of TFDV's"
    if kind == "drift" and sign == "+":
        return _own_distance(found, name)
    if kind == "drift":
        return _sound(folder, schema, found, name)
    if sign == "-" and kind == "valency" and (name, "presence") in _alike(found.ours):
        return "TFDV tells the missing cells twice"
    if sign == "+" and "broken_encoding" in codes:
        return "texts that are not UTF-8 are outside the domain, too"
    if sign == "-" and kind.startswith("SCHEMA_") and "reading_note" in codes:
        return "read as it was meant, with a note"
    if sign == "-" and kind == "UNEXPECTED_DATA_TYPE":
        return _whole(folder, schema, found, name)
    return None


def _own_distance(found: Outcome, name: str) -> str | None:
    drifts = found.report.drift if found.report else []
    far = next((each for each in drifts if each.feature == name and each.alarm), None)
    if far is None:
        return None
    return f"our own distance is {far.distance:.3f} and matters from {far.threshold:g} on"


def _sound(folder: Path, schema: Schema, found: Outcome, name: str) -> str | None:
    before = previous_of(folder, found.case) or serving_of(folder, found.case)
    spec, after = schema.features[name], found.report.current if found.report else None
    limits = spec.drift_comparator or spec.skew_comparator
    if before is None or after is None or limits is None:
        return None
    measured = sound_measures(before.features[name], after.features[name], ALARM_LEVEL)
    value, chance = measured["infinity_norm" if limits.infinity_norm else "jensen_shannon"]
    limit = limits.infinity_norm or limits.jensen_shannon
    if limit is None or value > max(limit, chance):
        return None
    return f"in the same bins {value:.4f}, limit {limit}, chance reaches {chance:.4f}"


def _whole(folder: Path, schema: Schema, found: Outcome, name: str) -> str | None:
    """Whole floats are integers; integers in place of floats are told where there is a baseline."""
    spec = schema.features[name]
    if spec.type == "int" and found.report is not None and found.report.current is not None:
        mistyped = any(f.feature == name and f.code == "wrong_type" for f in found.report.findings)
        return None if mistyped else "all cells are whole numbers, spelled as floats"
    report = check(
        schema, folder / found.case.case / found.case.input[0],
        baseline=profiled(folder / TRAIN / "input.csv"),
    )  # fmt: skip
    lost = any(f.feature == name and f.code == "lost_decimals" for f in report.findings)
    return "told as lost decimals where there is a baseline" if lost else None


def _alike(found: Pairs) -> Pairs:
    return {(name, _SAME_AS.get(kind, kind)) for name, kind in found if kind != CUSTOM}


def _row(each: Outcome) -> str:
    known = each.case.tfdv_false_alarm or each.case.tfdv_blind_spot or ""
    extra = sorted({f"{f.feature or ''}:{f.code}" for f in each.report.findings
                    if type_of(f) == CUSTOM}) if each.report else []  # fmt: skip
    parts = [f"{each.case.case:36} {each.verdict:6}"]
    whys: dict[str, list[str]] = {}
    for item in each.apart:
        whys.setdefault(each.why.get(item, "?"), []).append(item)
    parts += [f"{len(items)} apart ({', '.join(items[:2])}): {why};" for why, items in whys.items()]
    parts += [f"own: {', '.join(extra)}"] * bool(extra)
    parts += [f"({each.error or known})"] * bool(each.error or known)
    return " ".join(parts)


def _findings(outcomes: Sequence[Outcome]) -> Iterator[Claim]:
    checked = [each for each in outcomes if not each.case.error]
    right = [e for e in checked if not (e.case.tfdv_false_alarm or e.case.tfdv_blind_spot)]
    agree = [e for e in right if e.verdict == "agree"]
    known = ", ".join(e.case.case for e in right if e.verdict == "known") or "none"
    yield claim(
        "cases in which findings and TFDV's anomalies agree", len(agree), "cases",
        f"of {len(right)} not tagged as TFDV's mistakes; by feature and kind; apart for a reason "
        f"that the table tells: {known}",
    )  # fmt: skip
    differ = [e.case.case for e in checked if e.verdict in ("differ", "error")]
    yield claim(
        "cases in which we differ and TFDV is right", len(differ), "cases",
        f"of {len(checked)}: {', '.join(differ) or 'none'}", goal="<= 0",
    )  # fmt: skip
    false = [e for e in checked if e.case.tfdv_false_alarm]
    silent = [e for e in false if not _alarms(e)]
    yield claim(
        "TFDV's false alarms on clean data in which we stay silent", len(silent), "cases",
        f"of {len(false)}", goal=f">= {len(false)}",
    )  # fmt: skip
    broken = [e for e in outcomes if e.case.error]
    told = [e for e in broken if e.report is not None or e.error]
    yield claim(
        "files on which TFDV ends with a stack trace", len(told), "read or told",
        f"of {len(broken)}; " + "; ".join(_told(e) for e in broken), goal=f">= {len(broken)}",
    )  # fmt: skip


def _alarms(each: Outcome) -> list[str]:
    found = each.report.findings if each.report else []
    return [f"{f.feature}:{f.code}" for f in found if f.severity == "error"]


def _told(each: Outcome) -> str:
    if each.report is None:
        return f"{each.case.case}: {each.error}"
    seen = [f.message for f in each.report.findings if f.code in _READ]
    return f"{each.case.case}: {each.report.checked_rows:,} rows, {'; '.join(seen) or 'all read'}"


def _exact(folder: Path, cases: Sequence[Case]) -> Iterator[Claim]:
    """TFDV's own conditions and measures, which have to be TFDV's to the letter."""
    known = [case for case in cases if case.anomalies is not None]
    theirs = [case for case in known if _by_tfdv(folder, case, ours=False) == recorded(case)]
    yield claim(
        "TFDV's verdict from TFDV's statistics", len(theirs), "cases",
        f"of {len(known)}; `anomalies` gives the same types for the same features",
        goal=f">= {len(known)}",
    )  # fmt: skip
    tables = [case for case in known if case.input[0] != "input.jsonl"]
    same = [case for case in tables if _by_tfdv(folder, case, ours=True) == recorded(case)]
    others = ", ".join(c.case for c in tables if c not in same)
    yield claim(
        "TFDV's verdict from our statistics of the same tables", len(same), "cases",
        f"of {len(tables)}; otherwise (files that TFDV misreads): {others or 'none'}",
    )  # fmt: skip
    worst, count = _distances(folder, known)
    yield claim(
        "TFDV's distances from its histograms", worst, "relative error",
        f"the largest of {count} that it recorded", goal="<= 1e-6",
    )  # fmt: skip
    schemas = [import_schema(path) for path in folder.rglob("*schema*.pbtxt")]
    back = sum(to_message(Schema.parse(each.text)) == to_message(each) for each in schemas)
    yield claim(
        "TFDV schemas that come back through our text as they were", back, "schemas",
        f"of {len(schemas)}", goal=f">= {len(schemas)}",
    )  # fmt: skip
    yield _statistics(folder)


def _by_tfdv(folder: Path, case: Case, *, ours: bool) -> Pairs:
    place, schema = folder / case.case, schema_of(folder, case)
    if ours:
        sides: list[Statistics | None] = [profiled(place / case.input[0])]
        sides += [previous_of(folder, case), serving_of(folder, case)]
    else:
        sides = [import_statistics(place / "stats.pbtxt")[0]]
        sides += [recorded_previous(folder, case), recorded_serving(folder, case)]
    current, previous, serving = sides
    assert current is not None
    found = anomalies(schema, current, previous, serving, case.environment)
    return {(each.feature, each.type) for each in found}


def _distances(folder: Path, cases: Sequence[Case]) -> tuple[float, int]:
    worst, count = 0.0, 0
    for case in cases:
        previous, serving = recorded_previous(folder, case), recorded_serving(folder, case)
        current = import_statistics(folder / case.case / "stats.pbtxt")[0]
        found = {(each.feature, each.against, each.measure): each.value for each in
                 measurements(schema_of(folder, case), current, previous, serving)}  # fmt: skip
        for info in case.drift_skew:
            name = info["path"]["step"][0]  # type: ignore[index]
            for against, key in (("previous", "drift"), ("serving", "skew")):
                for each in info.get(f"{key}_measurements", ()):  # type: ignore[attr-defined]
                    value = found.get((name, against, each["type"]))
                    if value is not None:
                        worst = max(worst, abs(value / each["value"] - 1))
                        count += 1
    return worst, count


def _statistics(folder: Path) -> Claim:
    """Our figures beside the exact ones: means, deviations, extremes, zeros, buckets."""
    inputs = {"exact_taxi_eval.json": EVAL, "exact_taxi_train.json": TRAIN,
              "exact_adult_test.json": "a06_drift_all_features_clean"}  # fmt: skip
    wrong, compared = [], 0
    for name, case in inputs.items():
        truth = json.loads((folder / name).read_text())["features"]
        ours = profiled(folder / case / "input.csv")
        for feature, exact in truth.items():
            if "mean" not in exact or feature not in ours.features:
                continue
            compared += 1
            found = ours.features[feature].numbers
            if found is None or not _close(found, exact):
                wrong.append(f"{name} {feature}")
    return claim(
        "features whose figures are not the exact ones", len(wrong), "features",
        f"of {compared}; mean, deviation, extremes, zeros; counts of ten buckets within 0.1 % of "
        f"rows: {wrong or 'none'}", goal="<= 0",
    )  # fmt: skip


def _close(found: object, exact: dict[str, object]) -> bool:
    figures = {"mean": found.mean, "std_dev_population": found.std,  # type: ignore[attr-defined]
               "min": found.low, "max": found.high, "num_zeros": found.zeros}  # type: ignore[attr-defined] # fmt: skip
    near = all(abs(float(value) - float(exact[key])) <= 1e-9 * max(1.0, abs(float(exact[key])))  # type: ignore[arg-type]
               for key, value in figures.items())  # fmt: skip
    histogram: dict[str, list[float]] = exact["standard_histogram_10"]  # type: ignore[assignment]
    quantiles = found.quantiles  # type: ignore[attr-defined]
    edges = pl.Series(histogram["edges"][1:-1]).to_numpy()
    off = abs(quantiles.counts_between(edges) - pl.Series(histogram["counts"]).to_numpy()).max()
    # An edge computed in another order may fall on the other side of a value that lies on it.
    return near and bool(off <= max(quantiles.rank_error * found.n, 0.001 * found.n))  # type: ignore[attr-defined]


def _blind(folder: Path, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Iterator[Claim]:
    """What TFDV cannot see: with our own schema of the training data, and it as the baseline."""
    by_case = {each.case.case: each for each in outcomes}
    blind = [case for case in cases if case.tfdv_blind_spot]
    missed, how = [], []
    for case in blind:
        found = _seen(folder, case, by_case.get(case.case))
        how.append(f"{case.case}: {', '.join(found) or 'nothing'}")
        if not found:
            missed.append(case.case)
    yield claim(
        "blind spots of TFDV's that are found", len(blind) - len(missed), "cases",
        f"of {len(blind)}; {'; '.join(how)}", goal=f">= {len(blind)}",
    )  # fmt: skip


def _seen(folder: Path, case: Case, known: Outcome | None) -> list[str]:
    """What is found beyond what is said of the clean data of the same source."""
    data = input_of(folder, case)
    if isinstance(data, pl.DataFrame):
        return sorted(set(_alarms(known))) if known else []
    train, clean = folder / TRAIN / "input.csv", folder / EVAL / "input.csv"
    baseline = profiled(train)
    schema = Schema.infer(baseline)
    found, usual = (
        {f"{f.feature or 'table'}:{f.code}" for f in check(schema, path, baseline=baseline).findings
         if f.severity == "error"} for path in (data, clean)
    )  # fmt: skip
    return sorted(found - usual)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: validate_tfdv_cases.py FOLDER [INDEX] [--quick] [--json FILE]")
    given = [Path(each) for each in sys.argv[1:3] if not each.startswith("-")]
    sys.exit(main(lambda _quick: claims(*given), sys.argv[1 + len(given) :]))
