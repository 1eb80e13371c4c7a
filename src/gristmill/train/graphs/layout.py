"""Where a program may be cut, and which layer each call falls into.

A layer starts at a call that reads parameters, unless something forbids a cut there:

    changed in place   a value that is still to be changed must not be copied to a later stage
    changed buffer     has one owner; all calls that read it are in its layer
    tuples and lists   are unpacked in the layer that makes them
    varying draws      calls after them that draw would not know the number of their first draw
    only in one mode   a value that evaluation makes and training doesn't, or the other way round
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from gristmill.train.graphs.program import TENSOR, Call, Program, refs

Span = tuple[int, int]


def lay_out(
    train: Program, evaluation: Program, parameters: Iterable[str]
) -> tuple[tuple[int, ...], tuple[int, ...], Program]:
    """Assign a layer to each call of both modes.

    Args:
        train: calls in training.
        evaluation: calls in evaluation.
        parameters: names of the model's parameters (not buffers).

    Returns:
        Layers of the training calls, layers of the evaluation calls, and the evaluation program
        with the names of training for the values that both make.
    """
    matched = _match(train.calls, evaluation.calls)
    evaluation = _renamed(train, evaluation, matched)
    places = _places(matched, len(evaluation.calls))
    starts = _starts(train.calls, {TENSOR + name for name in parameters})
    spans = [
        *_spans(train, range(len(train.calls))),
        *_spans(evaluation, places),
        *_lone(train, range(len(train.calls)), {call.name for call in evaluation.calls}),
        *_lone(evaluation, places, {call.name for call in train.calls}),
    ]
    starts = [start for start in starts if not any(low < start <= high for low, high in spans)]
    return (
        _numbered(starts, range(len(train.calls))),
        _numbered(starts, places),
        evaluation,
    )


def _starts(calls: tuple[Call, ...], parameters: set[str]) -> list[int]:
    weighty = [at for at, call in enumerate(calls) if parameters.intersection(call.reads)]
    return weighty[1:]


def _numbered(starts: list[int], places: Iterable[int]) -> tuple[int, ...]:
    edges = [*starts, 1 << 62]
    layer, layers = 0, []
    for place in places:
        while place >= edges[layer]:
            layer += 1
        layers.append(layer)
    return tuple(layers)


def _match(train: tuple[Call, ...], evaluation: tuple[Call, ...]) -> list[tuple[int, int]]:
    """Pair the calls that both modes make: (training, evaluation), ascending in both."""
    if [call.target for call in train] == [call.target for call in evaluation]:
        return [(at, at) for at in range(len(train))]
    matcher = SequenceMatcher(
        None, [call.target for call in train], [call.target for call in evaluation], autojunk=False
    )
    return [
        (block.a + at, block.b + at)
        for block in matcher.get_matching_blocks()
        for at in range(block.size)
    ]


def _places(matched: list[tuple[int, int]], count: int) -> list[int]:
    """Return where each evaluation call stands among the training calls, never descending."""
    place_of = {late: early for early, late in matched}
    places, place = [], 0
    for at in range(count):
        place = place_of.get(at, place)
        places.append(place)
    return places


def _renamed(train: Program, evaluation: Program, matched: list[tuple[int, int]]) -> Program:
    names = {call.name: f"{call.name}~" for call in evaluation.calls}
    for early, late in matched:
        names[evaluation.calls[late].name] = train.calls[early].name
    return evaluation.renamed(names)


def _spans(program: Program, places: Iterable[int]) -> Iterator[Span]:
    """Yield (first place, last place) of runs of calls that must stay in one layer."""
    where = dict(enumerate(places))
    yield from _changed_buffers(program.calls, where)
    yield from _changed_values(program.calls, where)
    yield from _packed(program.calls, where)
    drawing = [at for at, call in enumerate(program.calls) if call.draws or call.varying]
    for at in (at for at in drawing if program.calls[at].varying):
        yield where[at], where[drawing[-1]]


def _changed_buffers(calls: tuple[Call, ...], where: dict[int, int]) -> Iterator[Span]:
    changed = {TENSOR + name for call in calls for name in call.mutates}
    changed |= {name for call in calls for name in call.spoils if name.startswith(TENSOR)}
    yield from _extents(calls, where, changed)


def _extents(calls: tuple[Call, ...], where: dict[int, int], names: set[str]) -> Iterator[Span]:
    seen: dict[str, list[int]] = {}
    for at, call in enumerate(calls):
        for name in names.intersection((call.name, *call.reads)):
            seen.setdefault(name, []).append(where[at])
    for places in seen.values():
        yield places[0], places[-1]


def _changed_values(calls: tuple[Call, ...], where: dict[int, int]) -> Iterator[Span]:
    """Yield, for memory that is changed in place: from its first value to its last change."""
    group: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at, call in enumerate(calls):
        origins = list(dict.fromkeys(group.get(name, name) for name in call.aliases))
        base = origins[0] if origins else call.name
        for other in (*origins, call.name):
            merged = members.pop(other, [other]) if other != base else []
            members.setdefault(base, [base]).extend(merged)
            group.update(dict.fromkeys(merged, base))
            if other in last and other != base:
                last[base] = max(last.pop(other), last.get(base, 0))
        places = [first[origin] for origin in origins if origin in first]
        first[base] = min([*places, where[at]])
        for name in call.spoils:
            last[group.get(name, name)] = where[at]
            first.setdefault(group.get(name, name), where[at])
    yield from ((first[base], place) for base, place in last.items())


def _packed(calls: tuple[Call, ...], where: dict[int, int]) -> Iterator[Span]:
    yield from _extents(calls, where, {call.name for call in calls if call.packed})


def _lone(program: Program, places: Iterable[int], shared: set[str]) -> Iterator[Span]:
    where = dict(enumerate(places))
    lone = {call.name for call in program.calls if not call.scalar} - shared
    yield from _extents(program.calls, where, lone)
    returned = lone.intersection(refs(program.output))
    if returned and program.calls:
        made = [where[at] for at, call in enumerate(program.calls) if call.name in returned]
        yield min(made), where[len(program.calls) - 1]
