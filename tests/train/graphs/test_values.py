from __future__ import annotations

from gristmill.train.graphs.program import Call, Program, Ref, Size
from gristmill.train.graphs.values import Value, needed, value_table

#   layer 0: h = linear(x)      layer 1: g = relu(h)      layer 2: out = g + h * n   (n: rows of h)
CALLS = (
    Call("h", "first", (Ref("input.0"),), module=True, tensors=("first.weight",)),
    Call("g", "aten.relu.default", (Ref("h"),)),
    Call("n", "aten.sym_size.int", (Ref("h"), 0), scalar=True),
    Call("s", "aten.mul.Tensor", (Ref("h"), Ref("n"))),
    Call("mask", "aten.gt.Scalar", (Ref("input.1"), 0), floating=False),
    Call("out", "aten.add.Tensor", (Ref("g"), Ref("s"))),
)
PROGRAM = Program(CALLS, Ref("out"))


def table(program=PROGRAM):
    found = value_table([(program, (0, 1, 2, 2, 2, 2))], {"first.weight": True, "scale": False})
    return {each.name: each for each in found}


def test_values_know_who_makes_and_who_reads_them():
    found = table()
    assert (found["h"].made, found["h"].read) == (0, (1, 2))
    assert (found["g"].made, found["g"].read) == (1, (2,))
    assert "n" not in found  # a number is worked out anew
    assert found["tensor:first.weight"].made == 0
    assert [each.chained for each in (found["h"], found["mask"], found["tensor:scale"])] == [
        True, False, False
    ]  # fmt: skip


def test_a_value_is_named_after_its_last_reader_so_that_gradients_pass_it_on():
    h = table()["h"]
    assert [h.crosses(cut) for cut in range(4)] == [False, True, True, False]
    assert [h.name_at(cut) for cut in (1, 2)] == ["h", "h@1"]
    assert h.read_in(1, 2)
    assert not h.read_in(0, 3)  # it is made there
    unchained = Value("mask", 0, (1, 2), chained=False)
    assert unchained.name_at(2) == "mask"


def test_a_size_that_an_input_has_needs_no_other_value():
    by_name = {call.name: call for call in CALLS}
    assert needed(["n", "g"], by_name, PROGRAM) == {"h", "g"}
    told = Program(CALLS, Ref("out"), {"n": (Size("input.0", 0),)})
    assert needed(["n", "input.1"], by_name, told) == set()
