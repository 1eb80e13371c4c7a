"""What is noted of each call of a program."""

from __future__ import annotations

import torch
from torch import nn

from gristmill.train.graphs.annotate import annotated
from gristmill.train.graphs.program import Call, Program, Ref
from gristmill.train.graphs.skeleton import Skeleton
from gristmill.train.graphs.watch import Shadow


class Counting(nn.Module):
    """Replaces a buffer, and draws."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(4, 4)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.count = self.count + 1
        return nn.functional.dropout(self.line(x), 0.5, self.training)


def noted(calls, training=True):
    model = nn.Sequential(Counting(), nn.BatchNorm1d(4), Counting())
    skeleton = Skeleton(model)
    shadow = Shadow(skeleton.module, "cpu")
    example = (shadow.like(torch.empty(3, 4)),)
    program = Program(tuple(calls), Ref(calls[-1].name))
    return {
        call.name: call for call in annotated(program, skeleton, shadow, example, training).calls
    }


CALLS = [
    Call("a", "0", (Ref("input.0"),), module=True),
    Call("b", "1", (Ref("a"),), module=True),
    Call("c", "aten.relu_.default", (Ref("b"),)),
    Call("d", "aten.view.default", (Ref("c"), [4, 3])),
    Call("e", "aten.gt.Scalar", (Ref("d"), 0)),
    Call("f", "aten.split.Tensor", (Ref("d"), 2)),
]


def test_buffers_draws_and_tensors_of_modules():
    found = noted(CALLS)
    assert found["a"].tensors == ("0.line.weight", "0.line.bias", "0.count")
    assert (found["a"].draws, found["a"].mutates, found["a"].reassigns) == (
        1, ("0.count",), ("0.count",)
    )  # fmt: skip
    assert found["b"].mutates == ("1.num_batches_tracked", "1.running_mean", "1.running_var")
    assert found["b"].reassigns == ()


def test_evaluation_changes_and_draws_nothing():
    found = noted(CALLS, training=False)
    assert [(call.draws, call.mutates) for call in found.values()] == [(0, ())] * len(CALLS)


def test_values_that_share_memory_are_known():
    found = noted(CALLS)
    assert (found["c"].spoils, found["c"].aliases) == (("b",), ("b",))
    assert (found["d"].spoils, found["d"].aliases) == ((), ("c",))
    assert [found[name].packed for name in "def"] == [False, False, True]
    assert [found[name].floating for name in "def"] == [True, False, True]
