"""One column of a TFDV data set, with the figures that TFDV's conditions speak of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.validate.tfdv.estimates import common_of, path_name

_Kind = statistics_pb2.FeatureNameStatistics
_TYPES = {
    _Kind.INT: schema_pb2.INT,
    _Kind.FLOAT: schema_pb2.FLOAT,
    _Kind.STRING: schema_pb2.BYTES,
    _Kind.BYTES: schema_pb2.BYTES,
    _Kind.STRUCT: schema_pb2.STRUCT,
}


class Figures:
    """The statistics of one feature, weighted ones where TFDV would take those."""

    def __init__(
        self, message: statistics_pb2.FeatureNameStatistics, examples: float, *, weighted: bool
    ) -> None:
        self.message, self.weighted = message, weighted
        self.name = path_name(message)
        self.examples = examples
        self.common = common_of(message)

    @property
    def kind(self) -> int:
        """FeatureNameStatistics.Type: INT, FLOAT, STRING, BYTES or STRUCT."""
        return int(self.message.type)

    @property
    def kind_name(self) -> str:
        """The type as TFDV spells it."""
        return str(_Kind.Type.Name(self.message.type))

    @property
    def schema_type(self) -> int:
        """The type that a schema has for such data: STRING and BYTES are both BYTES."""
        return int(_TYPES[self.message.type])

    @property
    def present(self) -> float:
        """In how many examples the feature is."""
        part = self.common.weighted_common_stats if self.weighted else self.common
        return float(part.num_non_missing)

    @property
    def missing(self) -> float:
        """In how many it is not."""
        part = self.common.weighted_common_stats if self.weighted else self.common
        return float(part.num_missing)

    @property
    def fraction_present(self) -> float | None:
        """The share of examples with the feature."""
        if self.examples <= 0:
            return None
        return 1.0 if self.missing == 0 else self.present / self.examples

    @property
    def total_values(self) -> float:
        """How many values all examples hold."""
        if self.weighted:
            return float(self.common.weighted_common_stats.tot_num_values)
        counted = self.common.tot_num_values
        return float(counted or self.common.num_non_missing * self.common.avg_num_values)

    @property
    def lengths(self) -> list[tuple[int, int]]:
        """The least and greatest number of values at each nest level."""
        levels = self.common.presence_and_valency_stats
        if not levels:
            return [(self.common.min_num_values, self.common.max_num_values)]
        return [(level.min_num_values, level.max_num_values) for level in levels]

    @property
    def missing_by_level(self) -> list[float]:
        """How many lists are missing at each nest level."""
        levels = (
            self.common.weighted_presence_and_valency_stats
            if self.weighted
            else self.common.presence_and_valency_stats
        )
        return [float(level.num_missing) for level in levels] or [self.missing]

    @cached_property
    def counts(self) -> dict[str, float]:
        """Values with their counts, by value in byte order."""
        texts = self.message.string_stats
        part = texts.weighted_string_stats if self.weighted else texts
        pairs = [(bucket.label, bucket.sample_count) for bucket in part.rank_histogram.buckets]
        return dict(sorted(pairs, key=lambda pair: pair[0].encode()))

    @property
    def numbers(self) -> statistics_pb2.NumericStatistics:
        """The figures of numbers; all zero where there are none."""
        return self.message.num_stats

    def histogram(self, kind: int) -> statistics_pb2.Histogram | None:
        """The histogram of one type; None where there is none."""
        return next((each for each in self._histograms() if each.type == kind), None)

    def _histograms(self) -> Iterator[statistics_pb2.Histogram]:
        weighted = self.numbers.weighted_numeric_stats
        yield from weighted.histograms if self.weighted else self.numbers.histograms

    def custom(self, name: str) -> statistics_pb2.CustomStatistic | None:
        """A custom statistic by name."""
        return next((each for each in self.message.custom_stats if each.name == name), None)


class Dataset:
    """A data set by feature name; a feature without any statistics is left out, as in TFDV."""

    def __init__(self, message: statistics_pb2.DatasetFeatureStatistics) -> None:
        self.message = message
        known = [each for each in message.features if each.WhichOneof("stats")]
        self.weighted = bool(message.weighted_num_examples) and all(
            _is_weighted(each) for each in known
        )
        self.examples = float(
            message.weighted_num_examples if self.weighted else message.num_examples
        )
        figures = (Figures(each, self.examples, weighted=self.weighted) for each in known)
        self.features = {each.name: each for each in figures}


def _is_weighted(message: statistics_pb2.FeatureNameStatistics) -> bool:
    common = common_of(message)
    levels, weighted = common.presence_and_valency_stats, common.weighted_presence_and_valency_stats
    return common.HasField("weighted_common_stats") and len(levels) == len(weighted)
