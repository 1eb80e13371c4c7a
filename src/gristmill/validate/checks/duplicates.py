"""Rows that repeat earlier ones: how many are usual, and which are too many."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from gristmill.validate.chance import beyond_chance, upper_share
from gristmill.validate.checks.observe import Seen
from gristmill.validate.checks.rules import Draft
from gristmill.validate.checks.subject import Subject
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.distinct import expected_duplicates
from gristmill.validate.statistics.hashing import hash_rows


def check_duplicates(schema: Schema, subject: Subject, baseline: Subject | None) -> Draft | None:
    """Return a finding where more rows repeat an earlier one than is usual."""
    limit = schema.table.max_duplicates
    if limit is None:
        return None
    allowed = _allowed(schema, limit, subject, baseline)
    seen = _duplicates(subject)
    if not beyond_chance(seen.count, seen.total, allowed):
        return None
    verb = "repeats" if seen.count == 1 else "repeat"
    message = (
        f"{seen.count:,} of {seen.total:,} rows {verb} an earlier row; "
        f"{100 * allowed:.2g} % are usual in so many rows"
    )
    share = min(1.0, math.ceil(1e4 * seen.count / seen.total) / 1e4)
    return Draft("duplicate_rows", message, seen, Edit(None, "max_duplicates", limit, share))


def _allowed(schema: Schema, limit: float, subject: Subject, baseline: Subject | None) -> float:
    """The share of duplicates that is usual.

    The schema's limit holds for tables of the size it was inferred from, and grows with larger
    ones. A baseline knows better what a table of this size has, unless a person has raised the
    limit.
    """
    growth = subject.rows / (schema.table.inferred_from_rows or subject.rows)
    grown = min(1.0, limit * max(1.0, growth))
    if baseline is None or limit > _inferred_limit(baseline) + 1e-4:
        return grown
    multiplicities = baseline.statistics.repeats.multiplicities()
    expected = expected_duplicates(multiplicities, subject.rows)
    return min(grown, max(3.0, expected + math.sqrt(expected)) / subject.rows)


def _inferred_limit(baseline: Subject) -> float:
    return upper_share(baseline.statistics.duplicates.high, baseline.rows)


def _duplicates(subject: Subject) -> Seen:
    if subject.frame is None:
        bounded = subject.statistics.duplicates
        return Seen(int(bounded.low), subject.rows, exact=bounded.exact)
    hashes = hash_rows(subject.frame)
    again = np.ones(len(hashes), dtype=bool)
    again[np.unique(hashes, return_index=True)[1]] = False
    return Seen(int(again.sum()), subject.rows, mask=pl.Series(again))
