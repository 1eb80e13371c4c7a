import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.members import check_members, is_our_fault
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


def test_who_is_to_blame():
    assert is_our_fault(RuntimeError())
    assert is_our_fault(Refusal(503, "overloaded", ""))
    assert not is_our_fault(Refusal(503, "stopping", ""))
    assert not is_our_fault(Refusal(422, "bad_records", ""))
    assert not is_our_fault(KeyboardInterrupt())
