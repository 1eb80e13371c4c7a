"""What a node has, beside a node that is told everything each time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.jobs.node_copies import NodeCopies, joined
from gristmill.train.records.layout import RecordLayout

BLOCK = 4096
LAYOUTS = [
    RecordLayout.of([TensorSpec("a", (3,), "float32"), TensorSpec("b", (40,), "float32")]),
    RecordLayout.of([TensorSpec("a", (1200,), "float32"), TensorSpec("b", (5,), "int64")]),
    RecordLayout.of([TensorSpec("a", (2500,), "float32")]),
]


def place(offset, layout, name):
    entry = next(each for each in layout.entries if each.name == name)
    return slice(offset + entry.offset, offset + entry.offset + entry.nbytes)


@settings(max_examples=60)
@given(st.data())
def test_what_a_task_needs_is_there(data):
    """Records move about in the pool and change, here or there; none of the bytes goes twice."""
    draw = data.draw
    pool, node = (np.zeros(16 * BLOCK, np.uint8) for _ in range(2))
    copies = NodeCopies(draw(st.integers(0, 12)) * BLOCK)
    contents: dict[tuple[int, str], np.ndarray] = {}
    versions = dict.fromkeys(range(len(LAYOUTS)), 0)
    bits = np.random.default_rng(draw(st.integers(0, 99)))

    def renew(number, names):
        for entry in LAYOUTS[number].entries:
            if entry.name in names:
                contents[number, entry.name] = bits.integers(1, 255, entry.nbytes, np.uint8)

    for number in versions:
        renew(number, "ab")
    for _ in range(draw(st.integers(1, 12))):
        number = draw(st.sampled_from(sorted(versions)))
        layout, key = LAYOUTS[number], (0, number, "weights")
        offset = draw(st.integers(0, 16 - layout.nbytes // BLOCK)) * BLOCK
        for entry in layout.entries:
            pool[place(offset, layout, entry.name)] = contents[number, entry.name]
        needed = draw(st.sampled_from([None, {"a"}]))
        extents = copies.lacking(key, offset, layout, versions[number], needed)
        for first, last in copies.holes({key}):
            node[first:last] = 0
        for first, last in extents:
            node[first:last] = pool[first:last]
        for entry in layout.entries:
            if needed is None or entry.name in needed:
                where = place(offset, layout, entry.name)
                assert np.array_equal(node[where], contents[number, entry.name])
        assert copies.lacking(key, offset, layout, versions[number], needed) == []
        if draw(st.booleans()):  # the node updates it, but for what another replica updates
            versions[number] += 1
            foreign = {"b"} if needed else set()
            renew(number, "ab")
            for entry in layout.entries:
                if entry.name not in foreign:
                    node[place(offset, layout, entry.name)] = contents[number, entry.name]
            copies.changed(key, versions[number], foreign)
        elif draw(st.booleans()):
            versions[number] += 1
            renew(number, "ab")


def test_a_copy_that_was_used_longest_ago_makes_room():
    copies = NodeCopies(2 * BLOCK)
    layout = LAYOUTS[0]
    for number in range(3):
        copies.lacking((0, number, "weights"), number * BLOCK, layout, 0)
    assert copies.holes({(0, 2, "weights")}) == [(0, BLOCK)]
    assert copies.lacking((0, 1, "weights"), BLOCK, layout, 0) == []
    copies.stale((0, 1, "weights"))
    assert copies.lacking((0, 1, "weights"), BLOCK, layout, 0) == [(BLOCK, BLOCK + 224)]
    copies.forget(0)
    assert sorted(copies.holes(())) == [(BLOCK, 2 * BLOCK), (2 * BLOCK, 3 * BLOCK)]


def test_extents_are_joined_over_padding_only():
    assert joined([(0, 12), (64, 160), (320, 4)]) == [(0, 224), (320, 324)]
