"""Profiling one partition of one column: counted once, and all figures taken from the counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gristmill.validate.kinds import Kind, cast, kind_of, normalised
from gristmill.validate.statistics import text
from gristmill.validate.statistics.distinct import Distinct
from gristmill.validate.statistics.embeddings import Embedding
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.hashing import hash_cells
from gristmill.validate.statistics.images import UNKNOWN, Images, format_of
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.runs import count_values
from gristmill.validate.statistics.text_shape import TextShape
from gristmill.validate.statistics.texts import Texts
from gristmill.validate.statistics.valency import Valency, elements, is_nested

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_DIMENSION = 8
_PLAIN = (pl.Int64, pl.UInt64, pl.Float64)


@dataclass(frozen=True)
class Profiled:
    """The state of a column, its cells as they were taken, and their hashes where known.

    Attributes:
        column: the cells with their kind's own type; text where some did not parse.
        words: the hash of each text, of missing ones anything: uint64[n]; None for other kinds.
    """

    feature: Feature
    column: pl.Series
    words: NDArray[np.uint64] | None = None


def profile_column(column: pl.Series, kind: Kind | None = None) -> Profiled:
    """Profile one partition of a column; see `Feature.of`."""
    if is_nested(column.dtype):
        return Profiled(_lists(column), column)
    if kind is not None and kind != "string" and kind_of(column.dtype) == "string":
        return _parsed(column.cast(pl.String), kind)
    column = normalised(column)
    missing = column.null_count()
    present = column.drop_nulls() if missing else column
    feature, words = _present(present)
    if missing:
        feature = replace(feature, rows=len(column), missing=missing)
    if words is not None and missing:
        spread = np.zeros(len(column), dtype=np.uint64)
        spread[column.is_not_null().to_numpy()] = words
        words = spread
    return Profiled(feature, column, words)


def _parsed(column: pl.Series, kind: Kind) -> Profiled:
    """Profile text that should be of another kind: what parses as that, the rest as strings."""
    fitting = cast(column, kind)
    feature = profile_column(fitting.column).feature
    bad = column.filter(fitting.bad)
    if len(bad):
        whole = _beyond(bad) if kind == "int" else bad.clear()
        strings = bad if not len(whole) else bad.filter(_whole(bad).is_null())
        found = profile_column(whole).feature + profile_column(strings).feature
        feature = replace(feature, rows=len(column) - len(bad), missing=feature.missing - len(bad))
        feature = feature + found
    return Profiled(feature, column)


def _whole(texts: pl.Series) -> pl.Series:
    return texts.str.strip_chars().cast(pl.Int128, strict=False)


def _beyond(texts: pl.Series) -> pl.Series:
    """The integers among texts that 64 bits do not hold."""
    return _whole(texts).drop_nulls()


def _lists(column: pl.Series) -> Feature:
    leaves = profile_column(elements(column)).feature
    valency = Valency.of(column)
    return replace(
        leaves,
        rows=len(column),
        missing=column.null_count(),
        valency=valency,
        embedding=Embedding.of(column) if _are_vectors(column, valency) else None,
    )


def _are_vectors(column: pl.Series, valency: Valency) -> bool:
    inner = getattr(column.dtype, "inner", None)
    if valency.depth != 1 or inner is None or not inner.is_float():
        return False
    outer = valency.levels[0]
    return outer.low == outer.high and (outer.low or 0) >= _LEAST_DIMENSION


def _are_images(present: pl.Series) -> bool:
    known = [format_of(head) != UNKNOWN for head in present.bin.head(16).to_list()]
    return sum(known) > len(known) / 2 and find_spec("PIL") is not None


def _present(present: pl.Series) -> tuple[Feature, NDArray[np.uint64] | None]:
    """Profile cells without gaps."""
    kind = kind_of(present.dtype)
    kinds = {kind: len(present)} if len(present) else {}
    if not len(present):
        return Feature(0, 0, {}, Distinct()), None
    if kind == "string":
        return _texts(present, kinds)
    if kind == "bytes":
        return _bytes(present, kinds), None
    if kind == "bool":
        return _bools(present, kinds), None
    if present.dtype in _PLAIN or kind == "time":
        values, counts = count_values(
            (present.to_physical() if kind == "time" else present).to_numpy()
        )
        figures = Numbers.of_counts(values, counts)
        distinct = Distinct.of_numbers(values)
        if kind == "time":
            return Feature(len(present), 0, kinds, distinct, times=figures), None
        return Feature(len(present), 0, kinds, distinct, numbers=figures), None
    numbers = Numbers.of(present) if kind in ("int", "float") else None
    distinct = Distinct.of(hash_cells(present))
    return Feature(len(present), 0, kinds, distinct, numbers=numbers), None


def _texts(present: pl.Series, kinds: dict[str, int]) -> tuple[Feature, NDArray[np.uint64]]:
    found = Texts.of(present)
    bytes_ = Numbers.of_counts(*found.counted(found.byte_sizes))
    values = FrequentValues.of_columns(found.texts, found.counts, found.words)
    feature = Feature(
        rows=len(present),
        missing=0,
        kinds=kinds,
        distinct=Distinct.of(found.words),
        values=values,
        text_shape=None if values.exact else TextShape.of(found.texts, found.counts, found.words),
        lengths=bytes_ if found.plain else Numbers.of_counts(*found.counted(found.sizes)),
        byte_lengths=bytes_,
        empty=int(found.counts[found.byte_sizes == 0].sum()),
        # Every sign of a broken encoding is beyond ASCII.
        broken=0 if found.plain else found.count_where(text.is_broken(found.texts)),
        invalid_utf8=0
        if found.plain
        else found.count_where(found.texts.str.contains("\ufffd", literal=True)),
    )
    return feature, found.row_words


def _bytes(present: pl.Series, kinds: dict[str, int]) -> Feature:
    readable = _decoded(present)
    counted = Texts.of(readable.fill_null("0x" + present.bin.encode("hex")))
    return Feature(
        rows=len(present),
        missing=0,
        kinds=kinds,
        distinct=Distinct.of(hash_cells(present)),
        values=FrequentValues.of_columns(counted.texts, counted.counts, counted.words),
        byte_lengths=Numbers.of(present.bin.size()),
        invalid_utf8=readable.null_count(),
        images=Images.of(present) if _are_images(present) else None,
    )


def _decoded(present: pl.Series) -> pl.Series:
    """Read bytes as UTF-8, with null where they are none."""
    try:
        return present.cast(pl.String)
    except pl.exceptions.ComputeError:  # told of the column, not of the cell
        cells = [cell.decode(errors="replace") for cell in present.to_list()]
        good = pl.Series(cells, dtype=pl.String)
        return good.set(good.cast(pl.Binary) != present, None)


def _bools(present: pl.Series, kinds: dict[str, int]) -> Feature:
    true = int(present.sum())
    counts = {"true": true, "false": len(present) - true}
    counts = {name: n for name, n in counts.items() if n}
    words = hash_cells(pl.Series([name == "true" for name in counts]))
    return Feature(len(present), 0, kinds, Distinct.of(words), values=FrequentValues.of(counts))
