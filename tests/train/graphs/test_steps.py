"""Calls as steps that run: values by slot, dropped after their last use."""

from __future__ import annotations

import pytest
import torch

from gristmill.core.errors import TrainError
from gristmill.train.draws import KeyedDraws
from gristmill.train.graphs.program import Call, Program, Ref, Size
from gristmill.train.graphs.steps import Compiler

X = torch.linspace(-1.0, 1.0, 6).reshape(3, 2)


def compiled(calls, outputs, feeds=("input.0",), modules=None, sizes=None, after=None):
    compiler = Compiler(Program(tuple(calls), None, sizes or {}), modules or {})
    for name in feeds:
        compiler.feed(name)
    compiler.add(calls, after or {})
    return compiler.finish(outputs)


def test_calls_run_in_order_and_nested_arguments_are_built():
    calls = [
        Call("a", "aten.mul.Tensor", (Ref("input.0"), 2.0)),
        Call("b", "aten.cat.default", ([Ref("a"), Ref("input.0")], 1)),
        Call("c", "aten.sum.dim_IntList", (Ref("b"), [1]), {"keepdim": True}),
    ]
    steps = compiled(calls, {"output": {"all": (Ref("c"), Ref("a"))}})
    assert steps.inputs == ("input.0",)
    total, double = steps.run({"input.0": X}, {}, None)["output"]["all"]
    assert torch.equal(double, X * 2)
    assert torch.equal(total, torch.cat([X * 2, X], 1).sum(1, keepdim=True))


def test_what_nobody_reads_any_more_is_dropped():
    freed = []

    class Watched:
        def __del__(self):
            freed.append("a")

    calls = [
        Call("a", "make", (Ref("input.0"),), module=True),
        Call("b", "keep", (Ref("a"),), module=True),
        Call("c", "look", (Ref("b"),), module=True),
    ]
    modules = {
        "make": lambda _: Watched(),
        "keep": lambda _: X,
        "look": lambda x: (x, list(freed)),
    }
    steps = compiled(calls, {"output": Ref("c")}, modules=modules)
    assert steps.run({"input.0": X}, {}, None)["output"][1] == ["a"]
    assert steps.run({"input.0": X}, {}, None)["output"][1] == ["a", "a"]


def test_calls_without_gradients_are_not_recorded_and_the_switch_is_put_back():
    calls = [
        Call("a", "aten.mul.Tensor", (Ref("input.0"), 2.0), grad=False),
        Call("b", "aten.mul.Tensor", (Ref("input.0"), 3.0)),
    ]
    found = compiled(calls, {"a": Ref("a"), "b": Ref("b")}).run(
        {"input.0": X.clone().requires_grad_()}, {}, None
    )
    assert (found["a"].requires_grad, found["b"].requires_grad) == (False, True)
    assert torch.is_grad_enabled()


def test_numbers_are_worked_out_anew_from_what_is_there():
    calls = [
        Call("n", "aten.sym_size.int", (Ref("gone"), 0), scalar=True),
        Call("m", "operator.mul", (Ref("n"), 2), scalar=True),
        Call("y", "aten.new_zeros.default", (Ref("input.0"), [Ref("m")])),
    ]
    sizes = {"n": (Size("input.0", 0),)}
    steps = compiled(calls, {"output": Ref("y")}, sizes=sizes)
    assert steps.run({"input.0": X}, {}, None)["output"].shape == (6,)
    assert steps.run({"input.0": X[:1]}, {}, None)["output"].shape == (2,)


def test_draws_are_those_of_the_block_that_is_handed_in():
    calls = [Call("y", "aten.dropout.default", (Ref("input.0"), 0.5, True), draws=1)]
    steps = compiled(calls, {"output": Ref("y")})
    with KeyedDraws(3, "test"):
        wanted = torch.dropout(X, 0.5, True)
    with KeyedDraws(3, "test") as draws, draws.paused():
        torch.manual_seed(99)
        assert torch.equal(steps.run({"input.0": X}, {}, draws)["output"], wanted)


def test_own_tensors_come_before_values_and_callbacks_follow_their_module():
    seen = []
    calls = [Call("y", "part", (Ref("tensor:w"),), module=True)]
    steps = compiled(
        calls, {"output": Ref("y")}, feeds=("tensor:w",), modules={"part": lambda w: w + 1},
        after={"part": lambda: seen.append("called")},
    )  # fmt: skip
    found = steps.run({"tensor:w": X}, {"tensor:w": X * 2}, None)
    assert torch.equal(found["output"], X * 2 + 1)
    assert seen == ["called"]


def test_a_value_that_nobody_makes_is_fed_and_an_input_is_not():
    calls = [Call("y", "aten.neg.default", (Ref("input.1"),))]
    with pytest.raises(KeyError):
        compiled(calls, {"output": Ref("y")}).run({"input.0": X}, {}, None)
    calls = [Call("y", "aten.neg.default", (Ref("h"),))]
    with pytest.raises(TrainError, match=r"^value h is read, but no earlier call makes it$"):
        compiled(calls, {"output": Ref("y")})
