import msgspec
import pytest

from gristmill.core.errors import BundleError, DataError, GristmillError, ServeError
from gristmill.serve.refusal import Refusal
from gristmill.serve.replicas.messages import Failure


def carried(error):
    def fail():
        raise error

    try:
        fail()
    except Exception as caught:
        data = msgspec.msgpack.encode(Failure.of(caught))
    return msgspec.msgpack.decode(data, type=Failure).to_error()


@pytest.mark.parametrize("kind", [BundleError, DataError, ServeError, GristmillError])
def test_our_errors_keep_their_class_and_words(kind):
    error = carried(kind("what", where="there", fix="do"))
    assert type(error) is kind
    assert (error.message, error.where, error.fix) == ("what", "there", "do")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("too big"), "ValueError: too big"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (Refusal(503, "busy", "later"), "Refusal: later"),
    ],
)
def test_other_errors_become_one_of_ours(error, said):
    found = carried(error)
    assert type(found) is ServeError
    assert str(found) == said


def test_the_traceback_comes_along():
    (note,) = carried(ValueError("x")).__notes__
    assert note.startswith("in a replica process:\nTraceback (most recent call last):")
    assert "in carried" in note


def test_a_name_from_elsewhere_is_no_class_of_ours():
    error = Failure("annotations", "odd").to_error()
    assert type(error) is ServeError
