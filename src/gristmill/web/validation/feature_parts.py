"""Parts of a feature that only some have, as named figures: lists, texts, times, images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gristmill.validate.statistics.sentinel_values import sentinels
from gristmill.validate.statistics.time_range import TimeRange
from gristmill.web.text import shorten
from gristmill.web.validation import numerals

if TYPE_CHECKING:
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.numbers import Numbers
    from gristmill.validate.statistics.valency import Level

Figures = dict[str, str]
_PATTERNS = 3
_NAMED = 8
_GAPS = 3


def parts_of(feature: Feature, name: str, *, lean: bool = False) -> dict[str, Figures]:
    """Return the figures of each part that the feature has, by the part's title.

    Args:
        feature: the statistics of a column.
        name: of the column; that of a column of integers may say that they are times.
        lean: leave out what is not kept and takes milliseconds to derive: texts' shape and
            sentinels.
    """
    found = {
        "Values per cell": _valency(feature),
        "Shape of texts": _text(feature, lean=lean),
        "Time range": _time(feature, name),
        "Vectors": _embedding(feature),
        "Images": _images(feature),
        "Weighted": _weighted(feature),
        "Sentinels": {} if lean else _sentinels(feature),
    }
    return {title: figures for title, figures in found.items() if figures}


def _valency(feature: Feature) -> Figures:
    if feature.valency is None:
        return {}
    figures: Figures = {}
    for depth, level in enumerate(feature.valency.levels, start=1):
        prefix = f"level {depth}: " if len(feature.valency.levels) > 1 else ""
        figures |= {f"{prefix}{name}": text for name, text in _level(level).items()}
    if len(feature.valency.depths) > 1:
        figures["depths"] = _counts((str(depth), n) for depth, n in feature.valency.depths.items())
    return figures


def _level(level: Level) -> Figures:
    median = float(level.lengths.quantiles([0.5])[0]) if level.lists else None
    return {
        "lists": numerals.count(level.lists),
        "missing": numerals.count(level.missing),
        "empty": numerals.count(level.empty),
        "values": numerals.count(level.values),
        "fewest": numerals.figure(level.low),
        "median": numerals.figure(median),
        "mean": numerals.figure(level.mean),
        "most": numerals.figure(level.high),
    }


def _text(feature: Feature, *, lean: bool) -> Figures:
    shape = feature.text_shape if lean else feature.text
    if shape is None or not shape.cells:
        return {}
    figures = {
        "looks like": shape.semantic or "",
        "ASCII alone": numerals.share(shape.ascii, shape.cells),
        "words per cell": numerals.figure(shape.average_words),
        **{f"letters: {name}": numerals.percent(part) for name, part in _first(shape.scripts)},
        "words for missing": _counts(_first(shape.null_words)),
        **{
            f"pattern {shorten(pattern, 40)}": numerals.percent(part)
            for pattern, part in shape.patterns(_PATTERNS)
        },
    }
    if shape.error:
        figures["counts within"] = f"± {shape.error:,}"
    return {name: text for name, text in figures.items() if text}


def _time(feature: Feature, name: str) -> Figures:
    found = TimeRange.of(feature, name)
    if found is None:
        return {}
    figures = {
        "first": _moment(found.first),
        "last": _moment(found.last),
        "span": _span(found.span),
        "usual step": _step(found),
        "counted in": "" if found.unit is None else f"{found.unit} since 1970",
    }
    for gap in found.gaps[:_GAPS]:
        figures[f"gap after {_moment(gap.start)}"] = _span(gap.length)
    return {label: text for label, text in figures.items() if text}


def _step(found: TimeRange) -> str:
    if found.step is None:
        return ""
    sign = "" if found.exact else "≈ "
    return f"{sign}{_span(found.step)}{', regular' if found.regular else ''}"


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}" if when.hour or when.minute else f"{when:%Y-%m-%d}"


def _span(length: timedelta) -> str:
    seconds = length.total_seconds()
    for size, word in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if abs(seconds) >= 2 * size:
            return f"{numerals.figure(seconds / size)} {word}"
    return f"{numerals.figure(seconds)} seconds"


def _embedding(feature: Feature) -> Figures:
    if feature.embedding is None:
        return {}
    figures = {
        "dimensions": _counts((str(size), n) for size, n in feature.embedding.dimensions.items())
    }
    space = feature.embedding.space
    if space is None:
        return figures
    return figures | {
        "vectors": numerals.count(space.n),
        "with NaN or ∞": numerals.count(space.broken),
        "all zero": numerals.count(space.zeros),
        "norm": _spread(space.norms),
        "total variance": numerals.figure(float(space.variance.sum())),
    }


def _images(feature: Feature) -> Figures:
    images = feature.images
    if images is None:
        return {}
    figures = {
        "images": numerals.count(images.images),
        "unreadable": numerals.count(images.unreadable),
        "undecodable": numerals.count(images.undecodable),
        "formats": _counts(images.formats.items()),
        "channels": _counts((str(number), n) for number, n in images.channels.items()),
        "width": _range(images.widths),
        "height": _range(images.heights),
        "bytes": _range(images.byte_sizes),
    }
    if len(images.colours) > images.undecodable:
        figures["mean of channels"] = _list(images.colour_means.tolist())
        figures["spread of channels"] = _list(images.colour_spreads.tolist())
    return figures


def _weighted(feature: Feature) -> Figures:
    weighted = feature.weighted
    if weighted is None:
        return {}
    total = weighted.present + weighted.missing
    figures = {
        "weight": numerals.figure(total),
        "missing": numerals.share(weighted.missing, total),
    }
    numbers = weighted.numbers
    if numbers is not None and numbers.weight:
        figures |= {
            "mean": numerals.figure(numbers.mean),
            "std": numerals.figure(numbers.std),
            "median": numerals.figure(float(numbers.quantiles([0.5])[0])),
            "zeros": numerals.share(numbers.zeros, numbers.weight),
        }
        if numbers.rank_error:
            figures["ranks within"] = f"± {numerals.percent(numbers.rank_error)}"
    for value, weight in weighted.top(_NAMED):
        figures[f"value {shorten(value, 40) or '“”'}"] = numerals.share(weight, weighted.present)
    return figures


def _sentinels(feature: Feature) -> Figures:
    return {
        shorten(str(one.value), 40): f"{numerals.count(one.count)}, {shorten(one.why, 60)}"
        for one in sentinels(feature)[:_NAMED]
    }


def _spread(numbers: Numbers) -> str:
    return f"{numerals.figure(numbers.mean)} ± {numerals.figure(numbers.std)}"


def _range(numbers: Numbers) -> str:
    if not numbers.n:
        return numerals.DASH
    show: Callable[[float | None], str] = numerals.figure
    return f"{show(numbers.low)} to {show(numbers.high)}, mean {show(numbers.mean)}"


def _list(values: Iterable[float]) -> str:
    return ", ".join(map(numerals.figure, values))


def _first(named: dict[str, float] | dict[str, int]) -> list[tuple[str, float]]:
    return list(named.items())[:_NAMED]


def _counts(named: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name}: {count:,.0f}" for name, count in named)
