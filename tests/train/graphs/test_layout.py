from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.graphs.layout import lay_out
from gristmill.train.graphs.program import Call, Program, Ref


def calls_of(draw):
    """A chain of calls, some of which change an earlier value or a buffer in place."""
    calls = []
    for at in range(draw(st.integers(2, 9))):
        name = f"v{at}"
        earlier = [call.name for call in calls]
        source = draw(st.sampled_from(earlier)) if earlier else "input.0"
        spoils = draw(st.sets(st.sampled_from(earlier), max_size=1)) if earlier else set()
        changed = ("b",) if draw(st.integers(0, 3)) == 0 else ()
        alias = (source,) if earlier and draw(st.booleans()) else ()
        calls.append(
            Call(
                name,
                f"layer{at}",
                tuple(Ref(read) for read in {source, *spoils}),
                module=True,
                tensors=(f"w{at}", *changed),
                mutates=changed,
                spoils=tuple(spoils),
                aliases=alias,
                packed=draw(st.integers(0, 9)) == 0,
            )
        )
    return Program(tuple(calls), Ref(calls[-1].name))


def memory_of(calls):
    """The slow way: a graph of values that share memory, searched from each value."""
    groups = {}
    for call in calls:
        together = {call.name}
        for name in call.aliases:
            together |= groups[name]
        for name in together:
            groups[name] = together
    return groups


@given(st.data())
def test_nothing_is_changed_in_place_after_a_cut(data):
    program = calls_of(data.draw)
    calls = program.calls
    layers, same, _ = lay_out(program, program, [f"w{at}" for at in range(len(calls))])
    assert layers == same
    assert list(layers) == sorted(layers)
    layer_of = dict(zip([call.name for call in calls], layers, strict=True))
    groups = memory_of(calls)
    changed_buffers = {layer for call, layer in zip(calls, layers, strict=True) if call.mutates}
    assert len(changed_buffers) <= 1
    for call in calls:
        for name in call.spoils:
            assert layer_of[name] == layer_of[call.name]
            assert min(layer_of[other] for other in groups[name]) == layer_of[call.name]
        for name in call.reads:
            if any(other.packed for other in calls if other.name == name):
                assert layer_of[name] == layer_of[call.name]


def test_each_call_with_weights_is_a_layer_where_nothing_forbids_it():
    calls = tuple(
        Call(
            f"v{at}",
            f"m{at}",
            (Ref(f"v{at - 1}" if at else "input.0"),),
            module=True,
            tensors=(f"w{at}",),
        )
        for at in range(4)
    )
    program = Program(calls, Ref("v3"))
    assert lay_out(program, program, [f"w{at}" for at in range(4)])[0] == (0, 1, 2, 3)
