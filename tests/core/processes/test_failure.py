import pickle

import msgspec
import pytest

from gristmill.core.errors import BundleError, DataError, GristmillError, ServeError, TrainError
from gristmill.core.processes.failure import Failure


class OddError(GristmillError):
    pass


@pytest.fixture(params=["msgpack", "pickle"])
def carried(request):
    """Raise an error, carry it to another process, and return what is raised there."""

    def fail(error):
        raise error

    def carry(error):
        try:
            fail(error)
        except Exception as caught:
            failure = Failure.of(caught)
        if request.param == "pickle":
            found = pickle.loads(pickle.dumps(failure))
        else:
            found = msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)
        return found.to_error(TrainError, "a worker process", "worker 0")

    return carry


@pytest.mark.parametrize("kind", [BundleError, DataError, ServeError, GristmillError])
def test_our_errors_keep_their_class_and_words(carried, kind):
    error = carried(kind("what", where="there", fix="do"))
    assert type(error) is kind
    assert (error.message, error.where, error.fix) == ("what", "there", "do")
    assert carried(kind("what")).where is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("too big"), "worker 0: ValueError: too big"),
        (ZeroDivisionError(), "worker 0: ZeroDivisionError"),
        (OddError("odd", where="there", fix="do"), "there: OddError: odd\n  fix: do"),
    ],
)
def test_other_errors_become_what_is_asked_for(carried, error, said):
    found = carried(error)
    assert type(found) is TrainError
    assert str(found) == said


def test_the_traceback_comes_along(carried):
    (note,) = carried(ValueError("x")).__notes__
    assert note.startswith("in a worker process:\nTraceback (most recent call last):")
    assert "in carry" in note


def test_a_name_from_elsewhere_is_no_class_of_ours():
    error = Failure("annotations", "odd").to_error(ServeError, "a replica process")
    assert type(error) is ServeError
