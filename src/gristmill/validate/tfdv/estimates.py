"""What a TFDV statistics file tells of a column, as a state of ours."""

from __future__ import annotations

import math

import polars as pl
from tensorflow_metadata.proto.v0 import statistics_pb2

from gristmill.validate.statistics.distinct import Distinct
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.hashing import hash_cells
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.quantiles import Quantiles
from gristmill.validate.tfdv.buckets import quantiles_of

_Kind = statistics_pb2.FeatureNameStatistics
_KINDS = {
    _Kind.INT: "int",
    _Kind.FLOAT: "float",
    _Kind.STRING: "string",
    _Kind.BYTES: "bytes",
    _Kind.STRUCT: "other",
}


def path_name(feature: statistics_pb2.FeatureNameStatistics) -> str:
    """Name a feature: its name, or the steps of its path with dots between."""
    return feature.name or ".".join(feature.path.step)


def common_of(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    """Return the counts that every kind of feature has; empty ones where there are none."""
    form = feature.WhichOneof("stats")
    if form is None:
        return statistics_pb2.CommonStatistics()
    common: statistics_pb2.CommonStatistics = getattr(feature, form).common_stats
    return common


def read_feature(feature: statistics_pb2.FeatureNameStatistics) -> Feature:
    """Build a state from what was recorded; see `import_statistics` for what it cannot tell."""
    common = common_of(feature)
    present, missing = common.num_non_missing, common.num_missing
    form = feature.WhichOneof("stats")
    cells = common.tot_num_values or present
    return Feature(
        rows=present + missing,
        missing=missing,
        kinds={_KINDS[feature.type]: cells} if present else {},
        distinct=Distinct.of(hash_cells(_known_values(feature))),
        numbers=_numbers(feature) if form == "num_stats" and present else None,
        values=_values(feature.string_stats) if form == "string_stats" and present else None,
        empty=_empty(feature.string_stats),
        invalid_utf8=feature.string_stats.invalid_utf8_count,
    )


def _numbers(feature: statistics_pb2.FeatureNameStatistics) -> Numbers:
    figures = feature.num_stats
    histogram = _finest(figures)
    quantiles = quantiles_of(histogram) if histogram else Quantiles.empty()
    whole = feature.type == _Kind.INT
    low, high = (_edge(figures, quantiles, side, whole=whole) for side in ("min", "max"))
    spread = figures.std_dev**2 if math.isfinite(figures.std_dev) else 0.0
    infinite = {sign: _infinite(histogram, sign) for sign in (1, -1)}
    return Numbers(
        n=quantiles.n,
        mean=figures.mean if math.isfinite(figures.mean) else 0.0,
        m2=spread * quantiles.n,
        low=low,
        high=high,
        zeros=figures.num_zeros,
        nan=max((part.num_nan for part in figures.histograms), default=0),
        pos_inf=infinite[1],
        neg_inf=infinite[-1],
        quantiles=quantiles,
    )


def _finest(figures: statistics_pb2.NumericStatistics) -> statistics_pb2.Histogram | None:
    """The histogram of equal mass, or what there is."""
    wanted = statistics_pb2.Histogram.QUANTILES
    return next((h for h in figures.histograms if h.type == wanted and h.buckets), None) or next(
        (h for h in figures.histograms if h.buckets), None
    )


def _edge(
    figures: statistics_pb2.NumericStatistics, quantiles: Quantiles, side: str, *, whole: bool
) -> float | int | None:
    if not quantiles.n:
        return None
    edge = float(getattr(figures, side))
    if not math.isfinite(edge):
        edge = float(quantiles.quantiles([0.0 if side == "min" else 1.0])[0])
    return int(edge) if whole else edge


def _infinite(histogram: statistics_pb2.Histogram | None, sign: int) -> int:
    if histogram is None:
        return 0
    edge = sign * math.inf
    found = [b for b in histogram.buckets if edge in (b.low_value, b.high_value)]
    count: int = round(sum(bucket.sample_count for bucket in found))
    return count


def _values(figures: statistics_pb2.StringStatistics) -> FrequentValues:
    counts: dict[str, int] = {}
    for bucket in figures.rank_histogram.buckets:
        counts[bucket.label] = counts.get(bucket.label, 0) + round(bucket.sample_count)
    if not counts:
        counts = {top.value: round(top.frequency) for top in figures.top_values}
    return FrequentValues.of({value: count for value, count in counts.items() if count})


def _empty(figures: statistics_pb2.StringStatistics) -> int:
    found = (b.sample_count for b in figures.rank_histogram.buckets if not b.label)
    count: int = round(sum(found))
    return count


def _known_values(feature: statistics_pb2.FeatureNameStatistics) -> pl.Series:
    if feature.WhichOneof("stats") == "num_stats":
        edges = [edge for h in feature.num_stats.histograms for b in h.buckets
                 for edge in ((b.high_value,) if h.type else ())]  # fmt: skip
        return pl.Series(sorted({*edges, feature.num_stats.min, feature.num_stats.max}),
                         dtype=pl.Float64)  # fmt: skip
    labels = {bucket.label for bucket in feature.string_stats.rank_histogram.buckets}
    return pl.Series(sorted(labels), dtype=pl.String)
