"""When TFDV finds fault by statistics that special generators of its own make."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.validate.tfdv.figures import Figures
from gristmill.validate.tfdv.reasons import TfdvAnomaly, reason


def sparse_feature(figures: Figures) -> Iterator[TfdvAnomaly]:
    """Values without indices, indices without values, and lists of unequal length."""
    for custom in figures.message.custom_stats:
        if custom.name == "missing_value" and custom.num:
            told = f"Found {custom.num:g} examples missing value feature"
            yield reason("SPARSE_FEATURE_MISSING_VALUE", "Missing value feature", told)
        for bucket in custom.rank_histogram.buckets:
            count = int(bucket.sample_count)
            if count and custom.name == "missing_index":
                told = f"Found {count} examples missing index feature: {bucket.label}"
                yield reason("SPARSE_FEATURE_MISSING_INDEX", "Missing index feature", told)
            elif count and custom.name in ("max_length_diff", "min_length_diff"):
                short = "Length mismatch between value and index feature"
                told = f"Mismatch between {bucket.label} and values, {custom.name} = {count}"
                yield reason("SPARSE_FEATURE_LENGTH_MISMATCH", short, told)


def weighted_feature(figures: Figures) -> Iterator[TfdvAnomaly]:
    """Values without weights, weights without values, and lists of unequal length."""
    found = {custom.name: custom.num for custom in figures.message.custom_stats}
    for name, what in (("value", "VALUE"), ("weight", "WEIGHT")):
        count = found.get(f"missing_{name}")
        if count:
            told = f"Found {count:g} examples missing {name} feature."
            yield reason(f"WEIGHTED_FEATURE_MISSING_{what}", f"Missing {name} feature", told)
    least, most = (int(found.get(f"{k}_weight_length_diff", 0)) for k in ("min", "max"))
    if least or most:
        short = "Length mismatch between value and weight feature"
        told = f"Weights and values differ in number by {least} to {most}."
        yield reason("WEIGHTED_FEATURE_LENGTH_MISMATCH", short, told)


def natural_language(
    figures: Figures, domain: schema_pb2.NaturalLanguageDomain
) -> Iterator[TfdvAnomaly]:
    """Coverage by the vocabulary, length of tokens, and how often some tokens occur."""
    custom = figures.custom("nl_statistics")
    found = statistics_pb2.NaturalLanguageStatistics()
    if custom is not None and not custom.any.Unpack(found):
        return
    cover = domain.coverage
    asked = any(cover.HasField(k) for k in ("min_coverage", "min_avg_token_length"))
    if custom is None:
        if asked or domain.token_constraints:
            yield _no_statistics()
        return
    if cover.HasField("min_coverage") and found.feature_coverage < cover.min_coverage:
        told = f"{found.feature_coverage:g} of tokens, at least {cover.min_coverage:g} expected."
        yield reason("FEATURE_COVERAGE_TOO_LOW", "Feature coverage is too low.", told)
    length, least = found.avg_token_length, cover.min_avg_token_length
    if cover.HasField("min_avg_token_length") and length < least:
        told = f"Average token length is {length:g}, at least {least:g} expected."
        short = "Average token length is too short."
        yield reason("FEATURE_COVERAGE_TOO_SHORT_AVG_TOKEN_LENGTH", short, told)
    yield from _tokens(found, domain)


def _tokens(
    found: statistics_pb2.NaturalLanguageStatistics, domain: schema_pb2.NaturalLanguageDomain
) -> Iterator[TfdvAnomaly]:
    known = {getattr(each, each.WhichOneof("token") or "string_token"): each
             for each in found.token_statistics}  # fmt: skip
    for limits in domain.token_constraints:
        form = limits.WhichOneof("value")
        if form is None:
            continue
        token = getattr(limits, form)
        if token not in known:
            yield _no_statistics()
            return
        yield from _token(token, known[token], limits)


def _token(
    token: object,
    found: statistics_pb2.NaturalLanguageStatistics.TokenStatistics,
    limits: schema_pb2.SequenceValueConstraints,
) -> Iterator[TfdvAnomaly]:
    share = found.fraction_of_sequences
    checks = (
        ("min_fraction_of_sequences", share, "SMALL_FRACTION", "too small a fraction"),
        ("max_fraction_of_sequences", share, "LARGE_FRACTION", "too large a fraction"),
        ("min_per_sequence", found.per_sequence_min_frequency, "FEW_OCCURRENCES", "too few"),
        ("max_per_sequence", found.per_sequence_max_frequency, "MANY_OCCURRENCES", "too many"),
    )
    for key, value, code, words in checks:
        limit = getattr(limits, key)
        broken = value < limit if key.startswith("min") else value > limit
        if limits.HasField(key) and broken:
            told = f"Value {token}: {key} is {limit:g}, found {value:g}."
            yield reason(f"SEQUENCE_VALUE_TOO_{code}", f"Value occurs in {words}.", told)


def _no_statistics() -> TfdvAnomaly:
    return reason(
        "STATS_NOT_AVAILABLE",
        "Natural language stats are not computed.",
        "The constraints of the natural language domain cannot be verified without them.",
    )
