from __future__ import annotations

from collections import namedtuple

from hypothesis import given
from hypothesis import strategies as st

from gristmill.train.graphs.program import Call, Program, Ref, Size, refs, replace_refs

Pair = namedtuple("Pair", "left right")
NAMES = st.sampled_from(["a", "b", "input.0"])
TREES = st.recursive(
    NAMES.map(Ref) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.tuples(inner, inner).map(lambda both: Pair(*both))
        | st.tuples(inner, inner, inner).map(lambda three: slice(*three))
    ),
    max_leaves=8,
)


@given(TREES)
def test_references_are_found_and_replaced_wherever_they_hide(tree):
    put = []

    def note(name):
        put.append(name)
        return Ref(name)

    assert replace_refs(tree, note) == tree
    assert list(refs(tree)) == put


def test_a_call_reads_its_arguments_and_what_it_holds_once():
    call = Call("y", "block", (Ref("a"), [Ref("b"), Ref("a")]), {"mask": Ref("c")}, module=True,
                tensors=("block.weight",))  # fmt: skip
    assert call.reads == ("a", "b", "c", "tensor:block.weight")
    assert not call.may_draw
    assert Call("y", "block", asks=True).may_draw


def test_renaming_reaches_everything():
    call = Call("y", "aten.add_.Tensor", (Ref("x"), 1), spoils=("x",), aliases=("x",))
    program = Program((call,), {"out": Ref("y")}, {"n": (Size("x", 0),)})
    found = program.renamed({"x": "first", "n": "rows"})
    assert found.calls[0].args == (Ref("first"), 1)
    assert (found.calls[0].spoils, found.calls[0].aliases) == (("first",), ("first",))
    assert found.sizes == {"rows": (Size("first", 0),)}
    assert found.output == {"out": Ref("y")}
