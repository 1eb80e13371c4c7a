"""One line of the log of promotions, and what the log says of an alias."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

CHAMPION = "champion"
"""The alias of the version that answers; what is served unless another is asked for."""

DecisionVerdict: TypeAlias = Literal["promote", "hold", "reject", "rollback"]
MOVES: tuple[DecisionVerdict, ...] = ("promote", "rollback")
"""The verdicts after which an alias names the version."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a version: by whom, when, why and on what evidence.

    Attributes:
        model: the model's name.
        version: the version that was decided about.
        verdict: `promote` and `rollback` make the alias name it; `hold` and `reject` don't.
        reasons: one sentence each.
        author: a person, or what decided in a person's place.
        at: seconds since 1970, UTC.
        alias: the name that was asked for.
        replaced: the version that the alias named before; None if none, or if it did not move.
        forced: whether it was promoted though the gate, or a check, had said no.
        evidence: what was compared: figures, rows, digests of artifacts; plain JSON values.
    """

    model: str
    version: int
    verdict: DecisionVerdict
    reasons: list[str]
    author: str
    at: float
    alias: str = CHAMPION
    replaced: int | None = None
    forced: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        """Whether the alias names this version from here on."""
        return self.verdict in MOVES


def named_at(log: Iterable[Decision], at: float | None = None) -> dict[str, Decision]:
    """Return alias -> the decision that made it name what it names.

    Args:
        log: the decisions of one model, oldest first.
        at: the moment that is asked for, in seconds since 1970; by default now, which is after all
            that is in the log, whatever the clocks of those who wrote it say.
    """
    return {entry.alias: entry for entry in log if entry.moved and (at is None or entry.at <= at)}


def standing(log: Sequence[Decision], wanted: Decision) -> Decision | None:
    """Return the decision of the log that says what `wanted` says, if nothing has come after it.

    It is the newest of its alias; its author and its moment are its own, and its evidence may hold
    more than that of `wanted`.
    """
    of_alias = [entry for entry in log if entry.alias == wanted.alias]
    if not of_alias:
        return None
    last = of_alias[-1]
    told = json.loads(json.dumps(wanted.evidence))  # as a log gives it back
    kept = {name: value for name, value in last.evidence.items() if name in told}
    same = replace(
        wanted, author=last.author, at=last.at, replaced=last.replaced, evidence=last.evidence
    )
    return last if last == same and kept == told else None


def earlier_version(log: Iterable[Decision], alias: str = CHAMPION) -> int | None:
    """Return the version that a rollback of `alias` goes to; None where there is no earlier one.

    A rollback undoes the newest promotion that is not yet undone, so that two in a row go back by
    two and never swing between two versions.
    """
    before: list[int] = []
    for entry in log:
        if entry.alias != alias or not entry.moved:
            continue
        if entry.verdict == "promote":
            if before[-1:] != [entry.version]:  # else it was the one already
                before.append(entry.version)
        elif before:
            before.pop()
    return before[-2] if len(before) > 1 else None
