"""Statistics of a table: one state per feature, mergeable, saved as JSON and sketch bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import DataError
from gristmill.validate.statistics.distinct import Bounded, Distinct, Repeats
from gristmill.validate.statistics.feature import Feature
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.numbers import Numbers
from gristmill.validate.statistics.quantiles import Quantiles

_FORMAT = 1
_FIGURES = "statistics.json"
_SKETCHES = "sketches.bin"
_PARTS = ("numbers", "lengths", "times")


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
    """

    name: str
    rows: int
    features: dict[str, Feature]
    repeats: Repeats

    def __add__(self, other: Statistics) -> Statistics:
        names = list(dict.fromkeys([*self.features, *other.features]))
        features = {name: self._feature(name) + other._feature(name) for name in names}
        rows = self.rows + other.rows
        return Statistics(self.name, rows, features, self.repeats + other.repeats)

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
        return {
            "name": self.name,
            "rows": self.rows,
            "duplicates": [round(duplicates.value), round(duplicates.low), round(duplicates.high)],
            "features": {name: feature.describe() for name, feature in self.features.items()},
        }

    def save(self, folder: Path) -> None:
        """Write `statistics.json` and `sketches.bin` into a folder; equal states, equal bytes."""
        blob = _Blob()
        document = {
            "format": _FORMAT,
            "name": self.name,
            "rows": self.rows,
            "repeats": blob.put(self.repeats.to_bytes()),
            "features": [
                [name, _feature_document(feature, blob)] for name, feature in self.features.items()
            ],
        }
        write_atomic(folder / _SKETCHES, blob.joined())
        write_atomic(
            folder / _FIGURES, msgspec.json.format(msgspec.json.encode(document), indent=1)
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: the folder holds no statistics, or damaged ones, or another format's.
        """
        try:
            document = msgspec.json.decode((folder / _FIGURES).read_bytes(), type=_Document)
            blob = (folder / _SKETCHES).read_bytes()
            features = {name: _feature(part, blob) for name, part in document.features}
            repeats = Repeats.from_bytes(_cut(blob, document.repeats))
        except (OSError, msgspec.MsgspecError, ValueError, RuntimeError, IndexError) as error:
            raise DataError(
                f"expected saved statistics, found something unreadable: {error}",
                where=str(folder),
                fix="profile the data again",
            ) from error
        return cls(document.name, document.rows, features, repeats)


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


class _FeatureDocument(msgspec.Struct, forbid_unknown_fields=True):
    rows: int
    missing: int
    kinds: dict[str, int]
    empty: int
    broken: int
    distinct: _Span
    numbers: _NumbersDocument | None = None
    lengths: _NumbersDocument | None = None
    times: _NumbersDocument | None = None
    values: _Span | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    name: str
    rows: int
    repeats: _Span
    features: list[tuple[str, _FeatureDocument]]

    def __post_init__(self) -> None:
        if self.format != _FORMAT:
            raise ValueError(f"statistics of format {self.format}, this version reads {_FORMAT}")


def _feature_document(feature: Feature, blob: _Blob) -> _FeatureDocument:
    parts = {name: _numbers_document(getattr(feature, name), blob) for name in _PARTS}
    return _FeatureDocument(
        rows=feature.rows,
        missing=feature.missing,
        kinds=feature.kinds,
        empty=feature.empty,
        broken=feature.broken,
        distinct=blob.put(feature.distinct.to_bytes()),
        values=None if feature.values is None else blob.put(feature.values.to_bytes()),
        **parts,
    )


def _numbers_document(numbers: Numbers | None, blob: _Blob) -> _NumbersDocument | None:
    if numbers is None:
        return None
    figures: dict[str, object] = numbers.figures()
    return msgspec.convert(
        figures | {"quantiles": blob.put(numbers.quantiles.to_bytes())}, _NumbersDocument
    )


def _feature(document: _FeatureDocument, blob: bytes) -> Feature:
    values = document.values
    return Feature(
        rows=document.rows,
        missing=document.missing,
        kinds=document.kinds,
        distinct=Distinct.from_bytes(_cut(blob, document.distinct)),
        numbers=_numbers(document.numbers, blob),
        lengths=_numbers(document.lengths, blob),
        times=_numbers(document.times, blob),
        values=None if values is None else FrequentValues.from_bytes(_cut(blob, values)),
        empty=document.empty,
        broken=document.broken,
    )


def _numbers(document: _NumbersDocument | None, blob: bytes) -> Numbers | None:
    if document is None:
        return None
    figures: dict[str, Any] = msgspec.structs.asdict(document)
    return Numbers(**figures | {"quantiles": Quantiles.from_bytes(_cut(blob, document.quantiles))})


def _cut(blob: bytes, span: _Span) -> bytes:
    start, size = span
    if start < 0 or size < 0 or start + size > len(blob):
        raise ValueError(f"sketch bytes {start}..{start + size} lie outside {len(blob)} bytes")
    return blob[start : start + size]
