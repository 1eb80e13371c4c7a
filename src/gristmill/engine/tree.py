"""States of the parts of a table, made and merged where work runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, TypeVar

from gristmill.engine.protocol import Engine

T = TypeVar("T")
S = TypeVar("S")

_WIDTH = 8
_HELD = 32


@dataclass(frozen=True)
class _Branch(Generic[T, S]):
    """Makes one state of some consecutive items, neighbours first; travels to workers."""

    state: Callable[[T], S]
    merge: Callable[[S, S], S]

    def __call__(self, items: tuple[T, ...]) -> S:
        states = [self.state(item) for item in items]
        while len(states) > 1:
            pairs = _runs(states, 2)
            states = [self.merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return states[0]


def map_merge(
    engine: Engine,
    state: Callable[[T], S],
    merge: Callable[[S, S], S],
    items: Iterable[T],
    *,
    width: int = _WIDTH,
) -> S | None:
    """Return the states of all items as one, merged in a tree by the engine's workers.

    Only neighbours are merged, the earlier one first, so the order of the items is kept. Items are
    taken as they are needed; besides what is under way, the caller holds some forty states and one
    more for each 256 items.

    Args:
        engine: where states are made and merged.
        state: makes the state of an item.
        merge: makes one of two.
        items: in order.
        width: how many states a worker merges at a time; at least 2.

    Returns:
        None where there are no items.

    Raises:
        UsageError, StepError: as `Engine.map`.
    """
    leaves, above = _Branch(state, merge), _Branch(_itself, merge)
    runs, held = _runs(items, width), list[S]()
    while (first := next(runs, None)) is not None:
        level = engine.map(leaves, chain([first], islice(runs, _HELD - 1)))
        held.append(_climbed(engine, above, level, width))
    return _climbed(engine, above, iter(held), width) if held else None


def _climbed(engine: Engine, above: _Branch[S, S], level: Iterator[S], width: int) -> S:
    """Merge a level of the tree, and those above it, into one state."""
    states = list(level)
    while len(states) > 1:
        states = list(engine.map(above, _runs(states, width)))
    return states[0]


def _runs(items: Iterable[T], length: int) -> Iterator[tuple[T, ...]]:
    """Yield the items in runs of this length; the last may be shorter."""
    rest = iter(items)
    while run := tuple(islice(rest, length)):
        yield run


def _itself(state: S) -> S:
    return state
