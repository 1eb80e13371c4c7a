"""Columns that were swapped: each now looks as another one did."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.validate.drifts.drift import measure
from gristmill.validate.drifts.pairs import Pair
from gristmill.validate.drifts.shift import Shift

_MOST = 40
_BETTER = 0.5


def swapped_columns(pairs: Sequence[Pair], level: float) -> list[Shift]:
    """Find cycles of columns that took each other's place, among those that have moved.

    A column took another's place where chance explains its distance to what that one was, and it
    is at most half of the distance to what it was itself.
    """
    moved = sorted(
        (p for p in pairs if p.moved), key=lambda p: -(p.drift.distance if p.drift else 0)
    )
    places = {p.name: _place_of(p, moved, level) for p in moved[:_MOST]}
    shifts: list[Shift] = []
    seen: set[str] = set()
    by_name = {pair.name: pair for pair in moved}
    for name in (pair.name for pair in pairs if pair.name in places):
        cycle = _cycle(name, places)
        if cycle and not seen & set(cycle):
            seen |= set(cycle)
            shifts.extend(_told(by_name[each], places[each] or "", cycle) for each in cycle)
    return shifts


def _place_of(pair: Pair, moved: Sequence[Pair], level: float) -> str | None:
    """Return the column whose baseline this column now looks like."""
    best: tuple[float, str] | None = None
    own = pair.drift.distance if pair.drift else 0.0
    for other in moved:
        if other.name == pair.name or other.before.kind != pair.after.kind:
            continue
        drift = measure(pair.name, other.before, pair.after, max(pair.spec.drift, 0.1), level)
        if drift is None or drift.alarm or drift.distance > _BETTER * own:
            continue
        best = min(best or (2.0, ""), (drift.distance, other.name))
    return None if best is None else best[1]


def _cycle(name: str, places: dict[str, str | None]) -> list[str]:
    walk, here = [name], places.get(name)
    while here is not None and here != name and here not in walk:
        walk.append(here)
        here = places.get(here)
    return walk if here == name and len(walk) > 1 else []


def _told(pair: Pair, place: str, cycle: list[str]) -> Shift:
    others = ", ".join(repr(name) for name in cycle)
    rows = pair.after.rows
    message = f"the column looks as {place!r} did in the baseline: {others} have changed places"
    return Shift("swapped_columns", pair.name, message, pair.drift, None, rows, rows)
