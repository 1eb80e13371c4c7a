"""How well profiles agree with figures computed exactly (float64) from the same files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from claims import RECORDED, Claim, claim
from gristmill.validate import Feature, histogram, profile

_FILES = {
    "taxi_train.csv": "taxi_train.csv.gz",
    "taxi_eval.csv": "taxi_eval.csv.gz",
    "ydf_adult_test.csv": "a06_drift_all_features_clean/input.csv",
}
_FLOATS = 1e-9
"""Sums of 10,000 floats agree to this; what was stored in 32 bits does not."""


def exact_claims(data: Path, truths: Path) -> Iterator[Claim]:
    """Compare the profile of each file of `data` or `truths` with its `exact_*.json` in `truths`.

    One figure is one comparison: counts, extremes, median, zeros, top values and histograms have to
    be equal, mean and standard deviation to nine digits, deciles to one row, distinct counts
    within their bounds.
    """
    for path in sorted(truths.glob("exact_*.json")):
        truth = json.loads(path.read_text())
        name = _FILES.get(truth["source"], truth["source"])
        file = next((place / name for place in (data, truths) if (place / name).is_file()), None)
        if file is None:
            continue
        stats = profile(file)
        ours = [stats.rows == truth["num_examples"]]
        theirs: list[bool] = []
        for feature, figures in truth["features"].items():
            ours += _agreements(stats.features[feature], figures)
            theirs += _recorded(figures)
        yield claim(
            f"figures that agree with {path.stem}", 100 * sum(ours) / len(ours), "%",
            f"{len(ours)} figures of {stats.rows:,} rows against float64; peer TFDV 1.16, "
            f"{len(theirs)} of them {RECORDED}",
            goal=">= 100", peer=100 * sum(theirs) / len(theirs),
        )  # fmt: skip


def _agreements(feature: Feature, truth: Mapping[str, Any]) -> list[bool]:
    found = [
        feature.missing == truth["num_missing"],
        feature.present == truth["num_non_missing"],
    ]
    distinct = feature.distinct_count
    unique = truth["n_unique"] if "n_unique" in truth else truth["unique"]
    found.append(distinct.low <= unique <= distinct.high)
    if not truth["num_non_missing"]:
        return found
    return found + (_numeric if "mean" in truth else _textual)(feature, truth)


def _textual(feature: Feature, truth: Mapping[str, Any]) -> list[bool]:
    sizes, wanted = feature.byte_lengths, dict(truth["top"])
    found = {top.value: top.count for top in feature.top(len(wanted))}
    # Which of equally frequent values are named is up to each.
    same = sorted(found.values()) == sorted(wanted.values())
    shared = all(wanted[value] == count for value, count in found.items() if value in wanted)
    return [sizes is not None and _near(sizes.mean, truth["avg_length_bytes"]), same, shared]


def _numeric(feature: Feature, truth: Mapping[str, Any]) -> list[bool]:
    numbers = feature.numbers
    if numbers is None:
        return [False]
    shares = [i / 10 for i in range(11)]
    row = 1 / numbers.n
    low = numbers.quantiles.quantiles([max(0.0, share - row) for share in shares])
    high = numbers.quantiles.quantiles([min(1.0, share + row) for share in shares])
    deciles = zip(low.tolist(), truth["deciles"], high.tolist(), strict=True)
    counts = truth["standard_histogram_10"]["counts"]
    bins = histogram(numbers, bins=10, by="width").counts
    return [
        _near(numbers.mean, truth["mean"]),
        _near(numbers.std, truth["std_dev_population"]),
        numbers.low == truth["min"],
        numbers.high == truth["max"],
        numbers.zeros == truth["num_zeros"],
        *(one <= decile <= two for one, decile, two in deciles),
        # A single value has one bin here, and ten of no width there.
        bins == (counts if numbers.low != numbers.high else [sum(counts)]),
    ]


def _recorded(truth: Mapping[str, Any]) -> list[bool]:
    """Whether TFDV's own figures of a numeric feature, as far as they were recorded, agree."""
    names = {"std_dev": "std_dev_population"}
    return [
        _near(float(value), float(truth[names.get(name, name)]))
        for name, value in truth.get("tfdv", {}).items()
    ]


def _near(one: float, two: float) -> bool:
    return math.isclose(one, two, rel_tol=_FLOATS, abs_tol=_FLOATS)
