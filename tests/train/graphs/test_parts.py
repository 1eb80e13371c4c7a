"""Arguments and outputs of parts, with gaps for tensors."""

from __future__ import annotations

import torch

from gristmill.train.graphs.parts import Arguments, PartCall

X, Y = torch.ones(2, 3), torch.zeros(4)


def test_tensors_leave_gaps_that_others_fill():
    arguments, tensors = Arguments.of((X, {"mask": Y}, 0.5), {"flag": True})
    assert [each is other for each, other in zip(tensors, (X, Y), strict=True)] == [True, True]
    args, kwargs = arguments.filled(["first", "second"], [])
    assert (args, kwargs) == (("first", {"mask": "second"}, 0.5), {"flag": True})
    assert not arguments.sized
    assert not arguments.alone
    assert Arguments.of((X,), {})[0].alone


def test_calls_are_of_a_kind_where_they_differ_in_tensors_only():
    def kind(*args, **kwargs):
        return Arguments.of(args, kwargs)[0].kind

    assert kind(X, 0.5) == kind(Y, 0.5)
    assert kind(X, 0.5) != kind(X, 0.25)
    assert kind(X, 1) != kind(X, True)
    assert kind(X, p=1) != kind(X, 1)


def test_an_output_is_taken_apart_and_put_together():
    call = PartCall("block", None, Arguments.of((X,), {})[0])
    found = call.take(("x", X, [Y, None, 3]))
    assert found[0] is X
    assert found[1] is Y
    assert (call.tensor_leaves, call.single) == ([1, 2], False)
    assert call.rebuilt(["first", "second"]) == ("x", "first", ["second", None, 3])
    of_another_size = PartCall("block", None, call.arguments)
    of_another_size.take(("x", torch.ones(7), [torch.zeros(1), None, 3]))
    assert of_another_size.kind == call.kind
    assert call.take(X)[0] is X
    assert call.single
