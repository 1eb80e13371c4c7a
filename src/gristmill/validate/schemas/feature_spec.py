"""What one column must look like."""

from __future__ import annotations

from typing import Literal

import msgspec

from gristmill.validate.schemas.comparator import Comparator

SpecKind = Literal["string", "int", "float", "bool", "time", "bytes", "any"]
Severity = Literal["error", "warning", "info"]
Order = Literal["ascending", "strict"]


class FeatureSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one column must look like. Shares are fractions in [0, 1] of present cells.

    A feature whose cells are lists has `nesting` 1 or more; its type, domain and bounds then
    speak of the elements, and `min_values`, `max_values` of how many a cell holds.

    Attributes:
        type: "string", "int", "float", "bool", "time", "bytes", or "any" where nothing is known.
        required: whether the column must be there at all.
        min_present: least share of rows with a value; at 1.0 every missing cell counts.
        min_count: least number of rows with a value.
        max_mistyped: share of cells that do not fit the type which is still fine.
        null_values: cells that are read as missing ("NA", "?", -1).
        nesting: 0 for plain cells, 1 for lists, 2 for lists of lists.
        min_values, max_values: bounds on how many elements a list cell holds.
        domain: the values allowed (strings and ints).
        max_unseen: share of values outside the domain that is still fine.
        min, max: bounds of ints and floats, inclusive.
        earliest, latest: bounds of times, ISO 8601, inclusive.
        max_age: how old the newest time may be when the table is checked ("2 days", "6 hours").
        order: "ascending" where numbers or times never fall from row to row, "strict" where they
            always rise.
        negative: whether numbers below zero may occur; if not, one of them is a finding.
        fractions: whether whole numbers everywhere are a mistake (decimals were lost).
        zeros: whether zeros everywhere are a mistake.
        max_nan: share of NaN that is still fine.
        max_infinite: share of infinite numbers that is still fine.
        min_length, max_length: bounds of text lengths, in characters.
        max_outside: share of numbers or lengths beyond their bounds that is still fine.
        pattern: regular expression (Rust syntax) that the whole of a text matches.
        max_unmatched: share of texts off the pattern that is still fine.
        max_broken: share of texts with a broken encoding that is still fine.
        unique: whether a value may occur only once (a key).
        min_unique, max_unique: bounds on how many different values there are.
        varies: whether a constant column is a mistake.
        unit: what the numbers count ("mile", "second", "USD"): told in findings.
        drift: Jensen-Shannon distance to the baseline that matters.
        drift_comparator, skew_comparator: limits in TFDV's measures; None: no such limit.
        severity: finding code -> severity, for this feature alone.
        not_in: environments whose data does not have this column.
        only_in: where given, the only environments whose data has this column.
        note: anything a person wants to keep with the feature.
        tfdv: what of an imported TFDV feature has no key of its own, as protobuf text.
    """

    type: SpecKind
    required: bool = True
    min_present: float = 0.0
    min_count: int = 0
    max_mistyped: float = 0.0
    null_values: tuple[str | int | float, ...] = ()
    nesting: int = 0
    min_values: int | None = None
    max_values: int | None = None
    domain: tuple[str | int, ...] | None = None
    max_unseen: float = 0.0
    min: int | float | None = None
    max: int | float | None = None
    earliest: str | None = None
    latest: str | None = None
    max_age: str | None = None
    order: Order | None = None
    negative: bool = True
    fractions: bool = False
    zeros: bool = False
    max_nan: float = 0.0
    max_infinite: float = 0.0
    min_length: int | None = None
    max_length: int | None = None
    max_outside: float = 0.0
    pattern: str | None = None
    max_unmatched: float = 0.0
    max_broken: float = 0.0
    unique: bool = False
    min_unique: int | None = None
    max_unique: int | None = None
    varies: bool = False
    unit: str | None = None
    drift: float = 0.1
    drift_comparator: Comparator | None = None
    skew_comparator: Comparator | None = None
    severity: dict[str, Severity] = {}
    not_in: tuple[str, ...] = ()
    only_in: tuple[str, ...] = ()
    note: str = ""
    tfdv: str = ""
