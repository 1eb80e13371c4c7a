import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.members import (
    check_members,
    is_our_fault,
    is_ready,
    problems_of,
)
from gristmill.store.bundle import Field


def refused(members):
    with pytest.raises(ServeError) as caught:
        check_members("r", members)
    return caught.value.message


def test_members_have_to_fit_together(endpoint):
    other, classes = endpoint("b"), endpoint("c")
    other.inputs = (Field("text", "int"),)
    classes.classes = ("x", "y")
    assert refused([]) == "expected one or more models, found none"
    assert refused([endpoint("a"), endpoint("a")]) == (
        "expected models of different names, found a, a"
    )
    assert refused([endpoint("a"), other]) == ("'b' has inputs text (int), but 'a' text (string)")
    assert refused([endpoint("a"), classes]) == "'c' knows classes x, y, but 'a' ham, spam"
    check_members("r", [endpoint("a"), endpoint("b")])


def test_shapes_and_what_may_be_left_out_have_to_fit_too(endpoint):
    first, other, wide = endpoint("a"), endpoint("b"), endpoint("c")
    first.inputs = (Field("x", "tensor", dtype="float32", shape=[None, 3]),)
    other.inputs = (Field("x", "tensor", dtype="float32", shape=[None, 3], required=False),)
    wide.inputs = (Field("x", "tensor", dtype="float32", shape=[None, 4]),)
    assert refused([first, wide]) == (
        "'c' has inputs x (tensor float32 ?x4), but 'a' x (tensor float32 ?x3)"
    )
    assert refused([first, other]) == (
        "'b' has inputs x (tensor float32 ?x3 optional), but 'a' x (tensor float32 ?x3)"
    )


def test_ready_and_problems(endpoint):
    sick = endpoint("a")
    sick.ready, sick.problems = False, ("replica 0 cannot be started: no",)
    assert not is_ready(sick)
    assert is_ready(endpoint("b"))
    assert problems_of([sick, endpoint("b"), sick]) == sick.problems


def test_who_is_to_blame():
    assert is_our_fault(RuntimeError())
    assert is_our_fault(Refusal(503, "overloaded", ""))
    assert not is_our_fault(Refusal(503, "stopping", ""))
    assert not is_our_fault(Refusal(422, "bad_records", ""))
    assert not is_our_fault(KeyboardInterrupt())
