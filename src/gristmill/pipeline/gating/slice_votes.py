"""Slices: those with rows enough to tell may veto, the others abstain and say so."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.intervals import Interval
from gristmill.core.paired import gain
from gristmill.pipeline.gating.against import told
from gristmill.pipeline.gating.ruling import Ruling

if TYPE_CHECKING:
    from gristmill.pipeline.gating.contender import Contender
    from gristmill.pipeline.gating.evidence import Evidence
    from gristmill.pipeline.gating.policy import Policy

_FEWEST_ROWS = 20
"""Below this an interval of a slice is too rough to be believed either way."""


class SliceVotes(msgspec.Struct, frozen=True):
    """What the slices say.

    Attributes:
        vetoes: rejections, one for each slice that surely loses more than it may.
        notes: which slices abstain, and how many were shown not to lose.
    """

    vetoes: list[Ruling]
    notes: list[str]


def slice_votes(
    candidate: Contender, incumbent: Contender, policy: Policy, evidence: Evidence
) -> SliceVotes:
    """Ask each slice whether it loses more than `policy.slice_loss`.

    The level is divided among the slices (Bonferroni), so that looking at many of them does not
    find a loss by chance.
    """
    if policy.slice_loss is None or not evidence.slices:
        return SliceVotes([], [])
    level = 1 - (1 - policy.level) / len(evidence.slices)
    vetoes: list[Ruling] = []
    abstaining: list[str] = []
    for name in sorted(evidence.slices):
        rows = int(evidence.slices[name].sum())
        missing = evidence.within(name).missing_class(policy.metric) if rows else ""
        if missing:
            abstaining.append(f"slice {name} abstains: {missing}")
            continue
        ahead = _gain(name, candidate, incumbent, policy, evidence, level)
        if ahead is None:
            abstaining.append(f"slice {name} abstains: {rows:,} rows are too few to tell")
        elif ahead.high < -policy.slice_loss:
            reason = (
                f"slice {name}, {rows:,} rows: {policy.metric} {told(ahead)} against "
                f"{incumbent.name}: a slice may lose {policy.slice_loss:g}"
            )
            vetoes.append(Ruling("reject", reason, {"slice": name, "gain": asdict(ahead)}))
        elif ahead.low < -policy.slice_loss:
            abstaining.append(
                f"slice {name} abstains: {rows:,} rows leave {told(ahead)}; to exclude a loss of "
                f"{policy.slice_loss:g} takes about {_rows_needed(rows, ahead, policy):,}"
            )
    kept = len(evidence.slices) - len(vetoes) - len(abstaining)
    counted = f"{kept} of {len(evidence.slices)} slices lose no more than {policy.slice_loss:g}"
    return SliceVotes(vetoes, [counted, *abstaining])


def _gain(
    name: str,
    candidate: Contender,
    incumbent: Contender,
    policy: Policy,
    evidence: Evidence,
    level: float,
) -> Interval | None:
    """Return the slice's gain; None where it has too few rows."""
    rows = evidence.slices[name]
    if rows.sum() < _FEWEST_ROWS:
        return None
    truth, mine, theirs = (
        column[rows]
        for column in (evidence.truth, evidence.answers(candidate), evidence.answers(incumbent))
    )
    return gain(policy.metric, truth, mine, theirs, evidence.positive, level=level)


def _rows_needed(rows: int, ahead: Interval, policy: Policy) -> int:
    """Return how many rows would bring the low end above the loss, if the gain stayed as it is.

    An interval shrinks with the square root of the rows. One centred beyond the loss never would:
    then it is the rows that would tell a loss twice as large.
    """
    room = ahead.value + (policy.slice_loss or 0.0)
    half = (ahead.high - ahead.low) / 2
    room = room if room > 0 else policy.slice_loss or half
    needed = rows * (half / max(room, 1e-6)) ** 2
    return math.ceil(needed / 10) * 10
