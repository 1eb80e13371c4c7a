"""Adding up states of parts in a tree whose shape depends on their number alone.

Sums of floats and sketches depend, within rounding and their bounds, on the order in which parts
are added. Here it is always the same: the states of n parts are those of the first 2**k added to
those of the rest, 2**k being the largest power of two below n, and so on down (the shape of the
Merkle trees of RFC 6962). A run of 2**k parts that starts at a multiple of 2**k is a subtree of its
own, so runs can be added up anywhere and in any number of processes, and the total has the same
bits as that of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar, cast

from gristmill.engine.protocol import Engine

S = TypeVar("S")
T = TypeVar("T")

_WORKERS_MERGED = 16
"""Workers whose states one process can add up beside them: a state of 20 columns takes a twentieth
of the time that its part took, to be unpacked and added."""
_EVEN = 8
_LONGEST = 8


class MergeTree(Generic[S]):
    """The total of states that come in order; holds one state for each bit of their number.

    Args:
        add: adds two states, the earlier one first.
    """

    def __init__(self, add: Callable[[S, S], S]) -> None:
        self._add = add
        self._subtrees: list[tuple[int, S | None]] = []

    def push(self, state: S | None, parts: int = 1) -> None:
        """Take the next state.

        Args:
            state: of one part, or the total of a run of parts; None for a gap, which adds nothing
                and leaves the places of all others as they are.
            parts: how many parts a run has: a power of two, the same for all of them. The last run
                may have had fewer.
        """
        while self._subtrees and self._subtrees[-1][0] == parts:
            state = self._joined(self._subtrees.pop()[1], state)
            parts *= 2
        self._subtrees.append((parts, state))

    def total(self) -> S | None:
        """Return the total of all states so far; None where there are none."""
        if not self._subtrees:
            return None
        *earlier, (_, total) = self._subtrees
        for _, state in reversed(earlier):
            total = self._joined(state, total)
        return total

    def _joined(self, earlier: S | None, later: S | None) -> S | None:
        if earlier is None or later is None:
            return later if earlier is None else earlier
        return self._add(earlier, later)


def added_up(states: Iterable[S], add: Callable[[S, S], S]) -> S | None:
    """Return the total of states; None where there are none."""
    tree = MergeTree(add)
    for state in states:
        tree.push(state)
    return tree.total()


def aligned_runs(items: Iterable[T], workers: int) -> Iterator[tuple[int, list[T]]]:
    """Cut items into runs that are subtrees, for workers that add up the states of a run.

    Of items whose number is known, runs begin long and end short (guided self-scheduling:
    Polychronopoulos and Kuck 1987), each at most half of what is left for a worker. Else they grow
    with what is done. Either way to eight times the shortest: the last one is never a large part of
    the work. The more workers there are, the fewer states each sends; but not so few of a known
    number that making a run takes longer than adding all of them up.

    Yields:
        How many parts a run has, for `MergeTree.push`, and its items; the last run may have fewer.
    """
    rest, done = iter(items), 0
    total = len(items) if isinstance(items, Sized) else None
    least = 1
    while least * _WORKERS_MERGED < workers and _spread(2 * least, total):
        least *= 2
    while True:
        # A run of twice the length is begun where this is left, or done, for each worker.
        room = done // _EVEN if total is None else total - done
        length = least
        while length < _LONGEST * least and room >= 2 * 2 * length * workers:
            length *= 2
        # A run is a subtree where as many items lie before it as a multiple of its length.
        while done % length:
            length //= 2
        run = list(islice(rest, length))
        if not run:
            return
        yield length, run
        done += len(run)


def _spread(length: int, total: int | None) -> bool:
    """Tell whether runs of a length are short beside what it takes to add up their states."""
    return total is None or length * _WORKERS_MERGED * length <= total


def map_merge(
    engine: Engine, state: Callable[[T], S], add: Callable[[S, S], S], items: Iterable[T]
) -> S | None:
    """Return the states of all items added up; None where there are none.

    Workers make states and add up those of a run; here are those of runs, one for each bit of the
    number of items, and what is under way.

    Args:
        engine: where states are made.
        state: makes the state of an item; travels to workers.
        add: adds two states, the earlier one first; travels to workers.
        items: in order; taken as they are needed.

    Raises:
        UsageError, StepError: as `Engine.map`.
    """
    lengths = list[int]()

    def runs() -> Iterator[list[T]]:
        for length, run in aligned_runs(items, engine.parallelism):
            lengths.append(length)
            yield run

    tree = MergeTree(add)
    for number, total in enumerate(engine.map(_RunTotal(state, add), runs())):
        tree.push(total, lengths[number])
    return tree.total()


@dataclass(frozen=True)
class _RunTotal(Generic[T, S]):
    """Makes the total of a run; travels to workers."""

    state: Callable[[T], S]
    add: Callable[[S, S], S]

    def __call__(self, run: list[T]) -> S:
        tree = MergeTree(self.add)
        for item in run:
            tree.push(self.state(item))
        return cast("S", tree.total())  # there is one: a run has items
