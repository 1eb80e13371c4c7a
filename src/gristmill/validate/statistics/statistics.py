"""Statistics of a table: one state per feature, mergeable, saved as JSON and sketch bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import DataError
from gristmill.validate.skipped import SkippedPart
from gristmill.validate.statistics.cross_features import CrossFeatures
from gristmill.validate.statistics.distinct import Bounded, Distinct, Repeats
from gristmill.validate.statistics.feature import FIGURES, STATES, Feature, join
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.null_patterns import NullPatterns
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.quantiles import Quantiles
from gristmill.validate.statistics.row_sample import RowSample

_FORMAT = 2
_FIGURES = "statistics.json"
_SKETCHES = "sketches.bin"


@dataclass(frozen=True)
class Statistics:
    """What is known of a table; `a + b` are the statistics of both tables on end.

    Merging is associative: counts, extremes, distinct counts and (while exact) value counts and
    quantiles are the same in any split; moments agree to rounding, sketched quantiles and frequent
    values within the bounds they state.

    Attributes:
        name: what the table is called in reports.
        rows: how many rows were seen.
        features: the state of each column, in the order of the first table.
        repeats: sketch of the rows' hashes.
        sample: a uniform sample of the distinct rows.
        nulls: which columns are missing together.
        pairs: covariances and correlations of numeric columns, where asked for.
        slices: the statistics of chosen rows, by the slice's name.
        weight: the column that weighs the rows.
        skipped: parts of the table that failed and are in no figure, where that was asked for.
    """

    name: str
    rows: int
    features: dict[str, Feature]
    repeats: Repeats
    sample: RowSample | None = None
    nulls: NullPatterns | None = None
    pairs: CrossFeatures | None = None
    slices: dict[str, Statistics] = field(default_factory=dict)
    weight: str | None = None
    skipped: tuple[SkippedPart, ...] = ()

    def __add__(self, other: Statistics) -> Statistics:
        names = dict.fromkeys([*self.features, *other.features])
        slices = dict.fromkeys([*self.slices, *other.slices])
        return Statistics(
            name=self.name,
            rows=self.rows + other.rows,
            features={name: self._feature(name) + other._feature(name) for name in names},
            repeats=self.repeats + other.repeats,
            sample=join(self.sample, other.sample),
            nulls=join(self.nulls, other.nulls),
            pairs=join(self.pairs, other.pairs),
            slices={n: join(self.slices.get(n), other.slices.get(n)) for n in slices},
            weight=self.weight or other.weight,
            skipped=self.skipped + other.skipped,
        )

    def _feature(self, name: str) -> Feature:
        return self.features.get(name) or Feature.absent(self.rows)

    @property
    def duplicates(self) -> Bounded:
        """How many rows repeat an earlier one, with 95 % bounds; exact up to 65,536 different."""
        distinct = self.repeats.count
        low, high = (max(0.0, self.rows - edge) for edge in (distinct.high, distinct.low))
        return Bounded(max(0.0, self.rows - distinct.value), low, high)

    def describe(self) -> dict[str, object]:
        """Summarise rows, duplicates and every feature, JSON-able."""
        duplicates = self.duplicates
        summary: dict[str, object] = {
            "name": self.name,
            "rows": self.rows,
            "duplicates": [round(duplicates.value), round(duplicates.low), round(duplicates.high)],
            "features": {name: feature.describe() for name, feature in self.features.items()},
        }
        for name in ("nulls", "pairs"):
            part: NullPatterns | CrossFeatures | None = getattr(self, name)
            if part is not None:
                summary[name] = part.describe()
        if self.slices:
            summary["slices"] = {name: part.describe() for name, part in self.slices.items()}
        if self.skipped:
            summary["skipped"] = [msgspec.to_builtins(part) for part in self.skipped]
        return summary

    def save(self, folder: Path) -> None:
        """Write `statistics.json` and `sketches.bin` into a folder; equal states, equal bytes."""
        blob = _Blob()
        document = {"format": _FORMAT, "statistics": _table_document(self, blob)}
        write_atomic(folder / _SKETCHES, blob.joined())
        write_atomic(
            folder / _FIGURES, msgspec.json.format(msgspec.json.encode(document), indent=1)
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: the folder holds no statistics, or damaged ones, or another version's.
        """
        try:
            figures = (folder / _FIGURES).read_bytes()
            found = msgspec.json.decode(figures, type=_Format).format
        except _DAMAGE as error:
            raise _unreadable(folder, error) from error
        if found != _FORMAT:
            raise _of_other_version(folder, found)
        try:
            document = msgspec.json.decode(figures, type=_Document).statistics
            return cls(**_table(document, (folder / _SKETCHES).read_bytes()))
        except _DAMAGE as error:
            raise _unreadable(folder, error) from error


_DAMAGE = (OSError, msgspec.MsgspecError, ValueError, RuntimeError, IndexError, DataError)


def _unreadable(folder: Path, error: Exception) -> DataError:
    return DataError(
        f"expected saved statistics, found something unreadable: {error}",
        where=str(folder),
        fix="profile the data again",
    )


def _of_other_version(folder: Path, found: int) -> DataError:
    age, fix = "an older", "profile the data again"
    if found > _FORMAT:
        age, fix = "a newer", f"{fix}, or read them with the version that wrote them"
    return DataError(
        f"expected statistics of format {_FORMAT}, found format {found} of {age} version",
        where=str(folder),
        fix=fix,
    )


class _Blob:
    """Byte strings on end; `put` returns where each lies."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._end = 0

    def put(self, data: bytes) -> tuple[int, int]:
        self._parts.append(data)
        start, self._end = self._end, self._end + len(data)
        return start, len(data)

    def joined(self) -> bytes:
        return b"".join(self._parts)


_Span = tuple[int, int]


class _NumbersDocument(msgspec.Struct, forbid_unknown_fields=True):
    n: int
    mean: float
    m2: float
    low: int | float | None
    high: int | float | None
    zeros: int
    nan: int
    pos_inf: int
    neg_inf: int
    quantiles: _Span


class _FeatureDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    rows: int
    missing: int
    kinds: dict[str, int]
    distinct: _Span
    empty: int = 0
    broken: int = 0
    invalid_utf8: int = 0
    figures: dict[str, _NumbersDocument] = {}
    states: dict[str, dict[str, object]] = {}
    values: _Span | None = None

    def __post_init__(self) -> None:
        strange = sorted({*self.figures} - {*FIGURES} | {*self.states} - {*STATES})
        if strange:
            raise ValueError(f"a feature with unknown parts {strange}")


class _TableDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    rows: int
    repeats: _Span
    features: list[tuple[str, _FeatureDocument]]
    sample: _Span | None = None
    nulls: dict[str, object] | None = None
    pairs: dict[str, object] | None = None
    slices: list[_TableDocument] = []
    weight: str | None = None
    skipped: tuple[SkippedPart, ...] = ()


class _Format(msgspec.Struct):
    format: int


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    statistics: _TableDocument


def _table_document(table: Statistics, blob: _Blob, name: str | None = None) -> _TableDocument:
    return _TableDocument(
        name=table.name if name is None else name,
        rows=table.rows,
        repeats=blob.put(table.repeats.to_bytes()),
        features=[(name, _feature_document(part, blob)) for name, part in table.features.items()],
        sample=None if table.sample is None else blob.put(table.sample.to_bytes()),
        nulls=None if table.nulls is None else table.nulls.to_document(),
        pairs=None if table.pairs is None else table.pairs.to_document(),
        slices=[_table_document(part, blob, name) for name, part in table.slices.items()],
        weight=table.weight,
        skipped=table.skipped,
    )


def _table(document: _TableDocument, blob: bytes) -> dict[str, Any]:
    sample, nulls, pairs = document.sample, document.nulls, document.pairs
    return {
        "name": document.name,
        "rows": document.rows,
        "features": {name: _feature(part, blob) for name, part in document.features},
        "repeats": Repeats.from_bytes(_cut(blob, document.repeats)),
        "sample": None if sample is None else RowSample.from_bytes(_cut(blob, sample)),
        "nulls": None if nulls is None else NullPatterns.from_document(nulls),
        "pairs": None if pairs is None else CrossFeatures.from_document(pairs),
        "slices": {part.name: Statistics(**_table(part, blob)) for part in document.slices},
        "weight": document.weight,
        "skipped": document.skipped,
    }


def _feature_document(feature: Feature, blob: _Blob) -> _FeatureDocument:
    figures = {name: getattr(feature, name) for name in FIGURES}
    states = {name: getattr(feature, name) for name in STATES}
    return _FeatureDocument(
        rows=feature.rows,
        missing=feature.missing,
        kinds=feature.kinds,
        distinct=blob.put(feature.distinct.to_bytes()),
        empty=feature.empty,
        broken=feature.broken,
        invalid_utf8=feature.invalid_utf8,
        figures={n: _numbers_document(part, blob) for n, part in figures.items() if part},
        states={name: part.to_document() for name, part in states.items() if part is not None},
        values=None if feature.values is None else blob.put(feature.values.to_bytes()),
    )


def _numbers_document(numbers: Numbers, blob: _Blob) -> _NumbersDocument:
    figures: dict[str, object] = numbers.figures()
    return msgspec.convert(
        figures | {"quantiles": blob.put(numbers.quantiles.to_bytes())}, _NumbersDocument
    )


def _feature(document: _FeatureDocument, blob: bytes) -> Feature:
    values = document.values
    parts: dict[str, Any] = {
        name: _numbers(part, blob) for name, part in document.figures.items()
    } | {name: STATES[name].from_document(part) for name, part in document.states.items()}
    return Feature(
        rows=document.rows,
        missing=document.missing,
        kinds=document.kinds,
        distinct=Distinct.from_bytes(_cut(blob, document.distinct)),
        values=None if values is None else FrequentValues.from_bytes(_cut(blob, values)),
        empty=document.empty,
        broken=document.broken,
        invalid_utf8=document.invalid_utf8,
        **parts,
    )


def _numbers(document: _NumbersDocument, blob: bytes) -> Numbers:
    figures: dict[str, Any] = msgspec.structs.asdict(document)
    return Numbers(**figures | {"quantiles": Quantiles.from_bytes(_cut(blob, document.quantiles))})


def _cut(blob: bytes, span: _Span) -> bytes:
    start, size = span
    if start < 0 or size < 0 or start + size > len(blob):
        raise ValueError(f"sketch bytes {start}..{start + size} lie outside {len(blob)} bytes")
    return blob[start : start + size]
