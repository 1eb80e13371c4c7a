"""Which limits of a schema a single row is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gristmill.validate.schemas.feature_spec import FeatureSpec, SpecKind
from gristmill.validate.schemas.schema import Schema

RARE = 0.01
"""Share up to which a tolerated fault is still rare enough that its row is set aside."""


@dataclass(frozen=True)
class Limits:
    """What one cell must look like, tolerances resolved.

    A schema speaks of shares ("1 cell in 1,000 may be unseen"), which a single row has none of. A
    limit whose tolerance is at most `rare` holds for every row; a looser one holds for none.

    Attributes:
        kind: what a cell, or an element of a list, is cast to.
        typed: whether one that cannot be cast is a fault.
        filled: whether a missing cell is a fault.
        nulls, null_numbers: spellings, and numbers, that are read as missing.
        outermost: whether the first and the last integer of 64 bits are values; else they are what
            numbers beyond were cut to.
        nesting: how deep lists are nested; 0 for plain cells.
        low, high: bounds of numbers; None: none.
        nan, infinite: whether such numbers may be.
        shortest, longest: bounds of text lengths in characters.
        fewest, most: bounds on the number of elements of a list, the outermost of nested ones.
        whole_text: whether texts with a broken encoding are faults.
        earliest, latest: bounds of times (ISO 8601).
    """

    kind: SpecKind
    typed: bool = True
    filled: bool = False
    nulls: frozenset[str] = frozenset()
    null_numbers: frozenset[float] = frozenset()
    outermost: bool = False
    nesting: int = 0
    domain: frozenset[str | int] | None = None
    low: float | None = None
    high: float | None = None
    nan: bool = True
    infinite: bool = True
    shortest: int | None = None
    longest: int | None = None
    fewest: int | None = None
    most: int | None = None
    pattern: str | None = None
    whole_text: bool = False
    earliest: str | None = None
    latest: str | None = None


def limits_of(spec: FeatureSpec, rare: float = RARE) -> Limits:
    """Resolve the tolerances of one feature."""
    bounded = spec.max_outside <= rare
    low = spec.min if bounded else None
    return Limits(
        kind=spec.type,
        typed=spec.max_mistyped <= rare,
        filled=spec.required and spec.min_present >= 1 - rare,
        nulls=frozenset(str(value) for value in spec.null_values),
        null_numbers=frozenset(x for x in spec.null_values if isinstance(x, int | float)),
        outermost=spec.domain is not None or (spec.max is not None and spec.max >= 2**63 - 1),
        nesting=spec.nesting,
        domain=_domain(spec, rare),
        low=low if spec.negative or (low is not None and low > 0) else 0,
        high=spec.max if bounded else None,
        nan=spec.max_nan > rare,
        infinite=spec.max_infinite > rare,
        shortest=spec.min_length if bounded else None,
        longest=spec.max_length if bounded else None,
        fewest=spec.min_values,
        most=spec.max_values,
        pattern=spec.pattern if spec.max_unmatched <= rare else None,
        whole_text=spec.max_broken <= rare,
        earliest=spec.earliest if bounded else None,
        latest=spec.latest if bounded else None,
    )


def table_limits(
    schema: Schema, environment: str | None = None, rare: float = RARE
) -> Mapping[str, Limits]:
    """Resolve the tolerances of every feature of an environment.

    Raises:
        UsageError: the schema knows no such environment.
    """
    return {name: limits_of(spec, rare) for name, spec in schema.active(environment).items()}


def _domain(spec: FeatureSpec, rare: float) -> frozenset[str | int] | None:
    if spec.domain is None or spec.max_unseen > rare:
        return None
    return frozenset(spec.domain)
