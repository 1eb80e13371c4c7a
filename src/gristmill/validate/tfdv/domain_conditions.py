"""When TFDV finds values outside their domain."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.validate.tfdv.figures import Figures
from gristmill.validate.tfdv.reasons import TfdvAnomaly, reason, six_digits

_Kind = statistics_pb2.FeatureNameStatistics
_INT = re.compile(r"\s*[+-]?\d+\s*")
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_RANGE, _INVALID, _NOT_BOOL = "Out-of-range values", "Invalid values", "Non-boolean values"


def string_domain(
    figures: Figures, values: set[str], max_off_domain: float
) -> Iterator[TfdvAnomaly]:
    """Texts outside the domain, beyond the share that is allowed; or texts that are not UTF-8."""
    if figures.message.string_stats.invalid_utf8_count > 0:
        told = "Found strings that were not valid UTF8 strings."
        yield reason("ENUM_TYPE_INVALID_UTF8", "Invalid UTF8 strings", told)
        return
    unseen = {value: n for value, n in figures.counts.items() if value not in values}
    total, off = figures.total_values, sum(unseen.values())
    if (total and off / total > max_off_domain) or (max_off_domain == 0 and unseen):
        listed = ", ".join(f"{value} ({_percent(n, total)})" for value, n in unseen.items())
        told = f"Examples contain values missing from the schema: {listed}. "
        yield reason("ENUM_TYPE_UNEXPECTED_STRING_VALUES", "Unexpected string values", told)


def int_domain(figures: Figures, domain: schema_pb2.IntDomain) -> Iterator[TfdvAnomaly]:
    """Integers, also spelled as text, below the least or above the greatest."""
    span = _int_span(figures)
    if isinstance(span, str):
        yield from _not_int(figures, domain, span)
    elif span is not None:
        low, high = span
        if domain.HasField("min") and low < domain.min:
            yield reason("INT_TYPE_SMALL_INT", _RANGE, f"Unexpectedly small value: {low}.")
        if domain.HasField("max") and high > domain.max:
            yield reason("INT_TYPE_BIG_INT", _RANGE, f"Unexpectedly large value: {high}.")


def float_domain(figures: Figures, domain: schema_pb2.FloatDomain) -> Iterator[TfdvAnomaly]:
    """Floats, also spelled as text, out of range (as float32), NaN or infinite."""
    if domain.disallow_nan and _has_nan(figures):
        yield reason("FLOAT_TYPE_HAS_NAN", _INVALID, "Float feature has NaN values.")
    span = _float_span(figures)
    if isinstance(span, str):
        told = f'String values that were not floats were found, such as "{span}".'
        yield reason("FLOAT_TYPE_STRING_NOT_FLOAT", _INVALID, told)
    elif span is not None:
        yield from _float_range(span, domain)


def bool_domain(figures: Figures, domain: schema_pb2.BoolDomain) -> Iterator[TfdvAnomaly]:
    """Values that are not 0 and 1, or not the words for true and false."""
    numbers = figures.numbers
    if figures.kind == _Kind.INT and numbers.min < 0:
        yield reason("BOOL_TYPE_SMALL_INT", _NOT_BOOL, _not_bool_int(numbers.min))
    elif figures.kind == _Kind.INT and numbers.max > 1:
        yield reason("BOOL_TYPE_BIG_INT", _NOT_BOOL, _not_bool_int(numbers.max))
    elif figures.kind == _Kind.FLOAT:
        found = _not_bool_float(numbers)
        if found:
            yield reason("BOOL_TYPE_UNEXPECTED_FLOAT", _NOT_BOOL, found)
    elif figures.kind == _Kind.STRING:
        yield from _not_bool_text(figures, domain)


def image_domain(figures: Figures, domain: schema_pb2.ImageDomain) -> Iterator[TfdvAnomaly]:
    """Too small a share of images that TensorFlow reads, or too large an image."""
    formats = figures.custom("image_format_histogram")
    if formats is not None and domain.HasField("minimum_supported_image_fraction"):
        buckets = formats.rank_histogram.buckets
        total = sum(bucket.sample_count for bucket in buckets)
        unknown = sum(bucket.sample_count for bucket in buckets if bucket.label == "UNKNOWN")
        share = float(_single((total - unknown) / total)) if total else math.nan
        if share < domain.minimum_supported_image_fraction:
            told = f"{six_digits(share)} of the values are images in a supported format."
            yield reason("LOW_SUPPORTED_IMAGE_FRACTION", "Low supported image fraction", told)
    most = figures.message.bytes_stats.max_num_bytes_int
    if domain.HasField("max_image_byte_size") and most > domain.max_image_byte_size:
        told = f"The largest image has {most} bytes, {domain.max_image_byte_size} are allowed."
        yield reason("MAX_IMAGE_BYTE_SIZE_EXCEEDED", "Num bytes exceeds the max byte size.", told)


def _percent(count: float, total: float) -> str:
    if not total:
        return "?"
    share = 100 * count / total
    return "<1%" if share < 1 else f"~{math.floor(share)}%"


def _int_span(figures: Figures) -> tuple[int, int] | str | None:
    """The least and greatest integer; a text that is none; None where nothing can be said."""
    if figures.kind in (_Kind.STRUCT, _Kind.FLOAT):
        return None
    if figures.kind == _Kind.INT and not figures.counts:
        low, high = figures.numbers.min, figures.numbers.max
        beyond = next((edge for edge in (low, high) if not _LEAST <= edge <= 2**63), None)
        return f"{beyond:f}" if beyond is not None else (int(low), min(int(high), _GREATEST))
    found = []
    for text in figures.counts:
        if not _INT.fullmatch(text) or not _LEAST <= int(text) <= _GREATEST:
            return text
        found.append(int(text))
    return (min(found), max(found)) if found else None


def _not_int(figures: Figures, domain: schema_pb2.IntDomain, example: str) -> Iterator[TfdvAnomaly]:
    if figures.schema_type == schema_pb2.BYTES:
        told = f'String values that were not ints were found, such as "{example}".'
        yield reason("INT_TYPE_NOT_INT_STRING", _INVALID, told)
    elif domain.HasField("min") or domain.HasField("max"):
        told = f'Integer had values that were not valid Int64, such as "{example}".'
        yield reason("DOMAIN_INVALID_FOR_TYPE", _INVALID, told)


def _float_span(figures: Figures) -> tuple[float, float] | str | None:
    if figures.kind == _Kind.FLOAT:
        return float(_single(figures.numbers.min)), float(_single(figures.numbers.max))
    if figures.kind not in (_Kind.STRING, _Kind.BYTES):
        return None
    found = []
    for text in figures.counts:
        number = _as_float(text)
        if number is None:
            return text
        found.append(number)
    return (min(found), max(found)) if found else None


def _as_float(text: str) -> float | None:
    try:
        return None if "_" in text else float(_single(float(text)))
    except ValueError:
        return None


def _single(number: float) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(number)


def _float_range(
    span: tuple[float, float], domain: schema_pb2.FloatDomain
) -> Iterator[TfdvAnomaly]:
    low, high = span
    if domain.HasField("min") and low < domain.min:
        told = f"Unexpectedly low values: {six_digits(low)}<{six_digits(domain.min)}"
        yield reason("FLOAT_TYPE_SMALL_FLOAT", _RANGE, f"{told}(upto six significant digits)")
    if domain.HasField("max") and high > domain.max:
        told = f"Unexpectedly high value: {six_digits(high)}>{six_digits(domain.max)}"
        yield reason("FLOAT_TYPE_BIG_FLOAT", _RANGE, f"{told}(upto six significant digits)")
    if domain.disallow_inf and (math.isinf(low) or math.isinf(high)):
        yield reason("FLOAT_TYPE_HAS_INF", _INVALID, "Float feature has Inf values.")


def _has_nan(figures: Figures) -> bool:
    if figures.kind == _Kind.FLOAT:
        return any(histogram.num_nan > 0 for histogram in figures.numbers.histograms)
    numbers = (_as_float(text) for text in figures.counts)
    return figures.kind == _Kind.STRING and any(n is not None and math.isnan(n) for n in numbers)


def _not_bool_int(value: float) -> str:
    return f"Integers (such as {six_digits(value)}) not in {{0, 1}}: converting to an integer."


def _not_bool_float(numbers: statistics_pb2.NumericStatistics) -> str | None:
    """What of the figures shows a float that is no bool; values between 0 and 1 mostly do not."""
    for edge in (numbers.min, numbers.max):
        if edge not in (0.0, 1.0):
            return f"Floats (such as {six_digits(edge)}) not in {{0, 1}}"
    if any(histogram.num_nan > 0 for histogram in numbers.histograms):
        return "Floats (such as NaN) not in {0, 1}"
    filled = [b for h in numbers.histograms for b in h.buckets if b.sample_count > 0]
    if any(bucket.low_value > 0 and bucket.high_value < 1 for bucket in filled):
        return "Float values falling between 0 and 1"
    return None


def _not_bool_text(figures: Figures, domain: schema_pb2.BoolDomain) -> Iterator[TfdvAnomaly]:
    words = [getattr(domain, k) for k in ("true_value", "false_value") if domain.HasField(k)]
    unknown = next((text for text in figures.counts if text not in words), None)
    if unknown is not None:
        listed = ", ".join(f'"{word}"' for word in sorted(words))
        told = f'Saw unexpected value "{unknown}" instead of {{{listed}}}.'
        yield reason("BOOL_TYPE_UNEXPECTED_STRING", _NOT_BOOL, told)
