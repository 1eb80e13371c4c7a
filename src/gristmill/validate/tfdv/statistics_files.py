"""TFDV's statistics files: lists of data sets with the figures of every feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.core.errors import DataError
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.cross_features import CrossFeatures
from gristmill.validate.statistics.distinct import Bounded, Repeats
from gristmill.validate.statistics.statistics import Statistics
from gristmill.validate.tfdv.estimates import path_name, read_feature
from gristmill.validate.tfdv.feature_statistics import write_feature
from gristmill.validate.tfdv.messages import read_message, write_message
from gristmill.validate.tfdv.schema_files import to_message

_ALL = "All Examples"


@dataclass(frozen=True)
class TfdvStatistics(Statistics):
    """Statistics that TFDV made; see `import_statistics` for what they can tell.

    Attributes:
        message: the data set as it stands in the file: TFDV's conditions are checked on it.
    """

    message: statistics_pb2.DatasetFeatureStatistics = field(
        default_factory=statistics_pb2.DatasetFeatureStatistics
    )

    @property
    def duplicates(self) -> Bounded:
        """How many rows repeat an earlier one is not known: between none and all."""
        return Bounded(0.0, 0.0, float(max(0, self.rows - 1)))


def import_statistics(path: str | Path) -> list[TfdvStatistics]:
    """Read TFDV's statistics (text, bytes or TFRecord): one for each data set or slice.

    They can be a baseline for `check` and are what `anomalies` needs. Exact as recorded: rows,
    missing, type, mean, deviation, least, greatest, zeros, NaN, invalid UTF-8, and value counts up
    to TFDV's 1,000 ranks. Known at the edges of TFDV's ten quantile buckets only, within its own
    error of 1 % of ranks: the distribution of numbers. Not to be had from such a file: how many
    rows are duplicates, how many different numbers there are, lengths of texts, times, rows and
    anything between columns; checks that need them stay silent or say less.

    Raises:
        UsageError: no such file.
        DataError: the file is damaged, no statistics, or its figures contradict each other.
    """
    found = read_message(path, statistics_pb2.DatasetFeatureStatisticsList)
    if not found.datasets:
        raise DataError("the statistics list holds no data set", where=str(path))
    return [_read(part, Path(path)) for part in found.datasets]


def export_statistics(
    statistics: Statistics | Sequence[Statistics],
    path: str | Path,
    *,
    schema: Schema | None = None,
) -> None:
    """Write statistics as TFDV's DatasetFeatureStatisticsList, slices as data sets of their own.

    `.pbtxt` is text, `.tfrecord` a TFRecord, other endings bytes. Histograms are counts of ours and
    not TFDV's interpolation.

    Args:
        statistics: of one table, or of several.
        path: the file to write.
        schema: tells which numbers are categories (TFDV's `is_categorical`).
    """
    each = [statistics] if isinstance(statistics, Statistics) else list(statistics)
    message = statistics_pb2.DatasetFeatureStatisticsList()
    known = None if schema is None else to_message(schema)
    for part in each:
        message.datasets.append(to_dataset(part, known))
        for name, inner in part.slices.items():
            message.datasets[-1].name = message.datasets[-1].name or _ALL
            made = to_dataset(inner, known)
            made.name = name
            message.datasets.append(made)
    write_message(message, path)


def to_dataset(
    statistics: Statistics, schema: schema_pb2.Schema | None = None
) -> statistics_pb2.DatasetFeatureStatistics:
    """Turn statistics into TFDV's message of one data set."""
    if isinstance(statistics, TfdvStatistics):
        return statistics.message
    known = {feature.name: feature for feature in schema.feature} if schema else {}
    made = statistics_pb2.DatasetFeatureStatistics(
        name=statistics.name, num_examples=statistics.rows
    )
    for name, feature in statistics.features.items():
        made.features.append(write_feature(name, feature, known.get(name)))
    weighed = [each.weighted for each in statistics.features.values() if each.weighted]
    if weighed:
        made.weighted_num_examples = weighed[0].present + weighed[0].missing
    if statistics.pairs is not None:
        _pairs(made, statistics.pairs)
    return made


def _pairs(made: statistics_pb2.DatasetFeatureStatistics, pairs: CrossFeatures) -> None:
    covariances, correlations = pairs.covariance(), pairs.correlation()
    for i, j in zip(*np.triu_indices(len(pairs.names), 1), strict=True):
        if math.isnan(covariances[i, j]):
            continue
        crossed = made.cross_features.add(count=int(pairs.counts[i, j]))
        crossed.path_x.step.append(pairs.names[i])
        crossed.path_y.step.append(pairs.names[j])
        crossed.num_cross_stats.covariance = covariances[i, j]
        if not math.isnan(correlations[i, j]):
            crossed.num_cross_stats.correlation = correlations[i, j]


def _read(message: statistics_pb2.DatasetFeatureStatistics, path: Path) -> TfdvStatistics:
    features = {path_name(part): read_feature(part) for part in message.features}
    for name, feature in features.items():
        if feature.rows > message.num_examples and "." not in name:
            raise DataError(
                f"{feature.rows:,} cells of {name!r} in a data set of "
                f"{message.num_examples:,} examples",
                where=str(path),
            )
    name, rows = message.name or path.stem, message.num_examples
    return TfdvStatistics(name, rows, features, _any_repeats(rows), message=message)


def _any_repeats(rows: int) -> Repeats:
    """Rows that may all be the same one: no number of duplicates is unusual beside them."""
    if not rows:
        return Repeats()
    return Repeats(np.array([1], dtype=np.uint64), np.array([rows], dtype=np.int64))
