"""Our state of one column as TFDV's statistics of a feature."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.quantiles import Quantiles
from gristmill.validate.statistics.valency import Valency
from gristmill.validate.statistics.weights import WeightedFigures
from gristmill.validate.tfdv.buckets import (
    both,
    histograms,
    length_histogram,
    plain_lengths,
)

TOP_VALUES = 20
RANKS = 1000
_Kind = statistics_pb2.FeatureNameStatistics


def write_feature(
    name: str, feature: Feature, schema: schema_pb2.Feature | None = None
) -> statistics_pb2.FeatureNameStatistics:
    """Write the statistics of one column.

    Args:
        name: of the column.
        feature: its state.
        schema: the feature of TFDV's schema, which tells categories that are spelled as ints.
    """
    made = statistics_pb2.FeatureNameStatistics(type=tfdv_type(feature))
    made.path.step.append(name)
    common = _common(feature)
    if schema is not None and schema.HasField("image_domain") and feature.byte_lengths:
        made.type = _Kind.BYTES
        _bytes(made.bytes_stats, feature, feature.byte_lengths)
        made.bytes_stats.common_stats.CopyFrom(common)
    elif made.type == _Kind.STRING or _categorical(schema):
        _strings(made.string_stats, feature)
        made.string_stats.common_stats.CopyFrom(common)
    else:
        _numbers(made.num_stats, _as_numbers(feature))
        made.num_stats.common_stats.CopyFrom(common)
    if feature.weighted is not None:
        _weighted(made, common, feature.weighted)
    return made


def tfdv_type(feature: Feature) -> int:
    """Return the type that TFDV would see: INT < FLOAT < STRING, the highest of any cell.

    Bools are INT; bytes, times (as their text is in a CSV file), integers beyond 64 bits and a
    column of no value at all are STRING.
    """
    kinds = set(feature.kinds)
    if not kinds or kinds - {"int", "float", "bool"}:
        return int(_Kind.STRING)
    if feature.numbers and feature.kind == "int" and (feature.numbers.high or 0) >= 2**63:
        return int(_Kind.STRING)
    return int(_Kind.FLOAT if "float" in kinds else _Kind.INT)


def _categorical(schema: schema_pb2.Feature | None) -> bool:
    return schema is not None and bool(
        schema.int_domain.is_categorical or schema.float_domain.is_categorical
    )


def _common(feature: Feature) -> statistics_pb2.CommonStatistics:
    valency = feature.valency
    if valency is None or not valency.levels:
        return _plain(feature)
    outer, inner = valency.levels[0], valency.levels[-1]
    common = statistics_pb2.CommonStatistics(
        num_non_missing=outer.lists,
        num_missing=feature.rows - outer.lists,
        min_num_values=outer.low or 0,
        max_num_values=outer.high or 0,
        avg_num_values=outer.mean,
        tot_num_values=inner.values,
        num_values_histogram=length_histogram(outer.lengths),
    )
    if valency.depth > 1:
        _levels(common, valency)
    return common


def _levels(common: statistics_pb2.CommonStatistics, valency: Valency) -> None:
    for level in valency.levels:
        common.presence_and_valency_stats.add(
            num_non_missing=level.lists,
            num_missing=level.missing,
            min_num_values=level.low or 0,
            max_num_values=level.high or 0,
            tot_num_values=level.values,
        )


def _plain(feature: Feature) -> statistics_pb2.CommonStatistics:
    common = statistics_pb2.CommonStatistics(
        num_non_missing=feature.present, num_missing=feature.missing
    )
    if feature.present:
        common.min_num_values = common.max_num_values = 1
        common.avg_num_values = 1.0
        common.tot_num_values = feature.present
        common.num_values_histogram.CopyFrom(length_histogram(plain_lengths(feature.present)))
    return common


def _numbers(made: statistics_pb2.NumericStatistics, numbers: Numbers) -> None:
    """Figures as TFDV has them: infinities count in all but the spread, NaN in none."""
    infinite = [math.inf] * (numbers.pos_inf > 0) + [-math.inf] * (numbers.neg_inf > 0)
    made.mean = sum(infinite) if infinite else numbers.mean
    made.std_dev = math.nan if infinite else numbers.std
    made.num_zeros = numbers.zeros
    edges = [float(edge) for edge in (numbers.low, numbers.high) if edge is not None]
    if edges or infinite:
        made.min, made.max = min([*edges, *infinite]), max([*edges, *infinite])
    if numbers.n:
        made.median = float(numbers.quantiles.quantiles([0.5])[0])
    made.histograms.extend(histograms(numbers))


def _strings(made: statistics_pb2.StringStatistics, feature: Feature) -> None:
    counts = value_counts(feature)
    made.unique = round(feature.distinct_count.value)
    made.invalid_utf8_count = feature.invalid_utf8
    made.avg_length = feature.byte_lengths.mean if feature.byte_lengths else 0.0
    ranked = sorted(counts.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
    for value, count in ranked[:TOP_VALUES]:
        made.top_values.add(value=value, frequency=count)
    for rank, (value, count) in enumerate(ranked[:RANKS]):
        made.rank_histogram.buckets.add(
            low_rank=rank, high_rank=rank, label=value, sample_count=count
        )


def value_counts(feature: Feature) -> dict[str, int]:
    """Return values with their counts: all that were counted, of texts, bools and few numbers."""
    counts: dict[str, int] = {}
    if feature.values is not None:
        counts = {top.value: top.count for top in feature.values.top(1 << 13)}
    found = feature.numbers.quantiles.value_counts() if feature.numbers else None
    if found is not None:
        for value, count in zip(found[0].tolist(), found[1].tolist(), strict=True):
            spelled = str(int(value)) if value.is_integer() else str(value)
            counts[spelled] = counts.get(spelled, 0) + count
    return counts


def _bytes(made: statistics_pb2.BytesStatistics, feature: Feature, lengths: Numbers) -> None:
    made.unique = round(feature.distinct_count.value)
    made.avg_num_bytes = lengths.mean
    made.min_num_bytes, made.max_num_bytes = float(lengths.low or 0), float(lengths.high or 0)
    made.max_num_bytes_int = int(lengths.high or 0)


def _weighted(
    made: statistics_pb2.FeatureNameStatistics,
    common: statistics_pb2.CommonStatistics,
    figures: WeightedFigures,
) -> None:
    form = made.WhichOneof("stats")
    weighted = getattr(made, form).common_stats.weighted_common_stats
    weighted.num_non_missing, weighted.num_missing = figures.present, figures.missing
    weighted.avg_num_values, weighted.tot_num_values = figures.average_values, figures.elements
    for _ in common.presence_and_valency_stats:
        # TFDV takes weights only where every nest level has them.
        getattr(made, form).common_stats.weighted_presence_and_valency_stats.add().CopyFrom(
            weighted
        )
    if form == "string_stats":
        texts = made.string_stats.weighted_string_stats
        for value, weight in figures.top(TOP_VALUES):
            texts.top_values.add(value=value, frequency=weight)
        for rank, (value, weight) in enumerate(figures.top(RANKS)):
            texts.rank_histogram.buckets.add(
                low_rank=rank, high_rank=rank, label=value, sample_count=weight
            )
    elif form == "num_stats" and figures.numbers is not None and figures.numbers.weight:
        numbers, out = figures.numbers, made.num_stats.weighted_numeric_stats
        out.mean, out.std_dev = numbers.mean, numbers.std
        out.median = float(numbers.quantiles([0.5])[0])
        out.histograms.extend(both(numbers, numbers.low, numbers.high, numbers.nan))


def _as_numbers(feature: Feature) -> Numbers:
    """The numbers of a column, bools among them as 0 and 1."""
    empty = Numbers(0, 0.0, 0.0, None, None, 0, 0, 0, 0, Quantiles.empty())
    numbers = feature.numbers or empty
    words = value_counts(replace(feature, numbers=None)) if "bool" in feature.kinds else {}
    for word, value in (("false", 0), ("true", 1)):
        count = words.get(word, 0)
        if count:
            numbers = numbers + _repeated(value, count)
    return numbers


def _repeated(value: int, count: int) -> Numbers:
    quantiles = Quantiles.of_counts(np.array([float(value)]), np.array([count], dtype=np.int64))
    return Numbers(
        count, float(value), 0.0, value, value, 0 if value else count, 0, 0, 0, quantiles
    )
