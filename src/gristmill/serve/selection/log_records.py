"""What the feedback log holds: heads of segments, predictions, outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from gristmill.core.errors import StoreError
from gristmill.serve.selection.agreement import pairs
from gristmill.serve.selection.kinds import AnyPolicy
from gristmill.serve.selection.learner import Learnt
from gristmill.serve.selection.losses import Said
from gristmill.serve.selection.policy import Outcome


class Head(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """First record of a segment: all that was learnt before it, so that older ones can go.

    Attributes:
        first: number of the next prediction.
        members: names of the arms, in their order.
        policy: how choices are made.
        learnt: context and what is known there, least recently used first.
    """

    first: int
    members: tuple[str, ...]
    policy: AnyPolicy
    learnt: list[tuple[str, Learnt]]


class Predicted(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """A prediction of one or more rows by the arm that was chosen.

    Attributes:
        number: its place among all predictions, from 0.
        request: id of the request.
        model: fingerprint of what answered.
        context: in which the choice was made.
        arm, propensity, advice: the choice.
        date: of the choice, by the clock of its context.
        when: seconds since 1970.
        rows: how many rows were answered.
        said: for each arm that was asked, what it answered to each row; empty for the others.
    """

    number: int
    request: str
    model: str
    context: str
    arm: int
    propensity: float
    date: int
    when: float
    rows: int
    said: list[list[Said]]
    advice: tuple[float, ...] = ()


class Shadowed(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """What an arm said that was asked beside the chosen one, and answered after it."""

    number: int
    arm: int
    said: list[Said]


class Joined(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """The outcome of one row of a prediction, complete without the prediction.

    Attributes:
        number, row: of which prediction; -1 for a choice that failed and gave no prediction.
        when: seconds since 1970 when its loss was told.
    """

    number: int
    row: int
    context: str
    when: float
    outcome: Outcome


Record: TypeAlias = Head | Predicted | Shadowed | Joined

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return a record as bytes."""
    return _ENCODER.encode(record)


def decode(payload: bytes, folder: Path) -> Record:
    """Return the record that bytes of a log in `folder` stand for.

    Raises:
        StoreError: they were written by another version.
    """
    try:
        return _DECODER.decode(payload)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"the feedback log holds a record of another version: {error}",
            where=str(folder),
            fix="move the folder away; what was learnt is then learnt anew",
        ) from error


def renumbered(outcome: Outcome, places: Sequence[int | None], arms: int) -> Outcome | None:
    """Return an outcome with arms at other places, or None where it has no meaning there.

    Args:
        places: new place of each old arm; None for one that is gone.
        arms: how many there are now.
    """
    arm = places[outcome.arm]
    if arm is None or outcome.advice:
        # Experts advise on places: what they said of other arms has no meaning for these.
        return None
    losses: list[float | None] = [None] * arms if outcome.losses else []
    for place, loss in zip(places, outcome.losses, strict=False):
        if place is not None:
            losses[place] = loss
    apart = _renumbered_pairs(outcome.apart, places, arms) if outcome.apart else ()
    return msgspec.structs.replace(outcome, arm=arm, losses=tuple(losses), apart=apart)


def _renumbered_pairs(
    apart: Sequence[float | None], places: Sequence[int | None], arms: int
) -> tuple[float | None, ...]:
    """Return what is known of pairs of arms, these being at other places."""
    found = {}
    for (one, other), value in zip(pairs(len(places)), apart, strict=True):
        first, second = places[one], places[other]
        if first is not None and second is not None:
            found[min(first, second), max(first, second)] = value
    return tuple(found.get(pair) for pair in pairs(arms))
