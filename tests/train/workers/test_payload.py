import threading
from fractions import Fraction

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.workers.payload import dumps, loads


def test_plain_messages_come_back_equal():
    message = ("run", (1, 2, "forward"), {"a": [None, 3.5]}, Fraction(1, 3))
    assert loads(dumps(message)) == message


def test_an_importable_function_goes_by_name():
    assert loads(dumps(dumps)) is dumps
    assert len(dumps(dumps)) < 100


def test_lambdas_and_closures_go_by_value():
    factor = 7
    copy = loads(dumps(lambda x: x * factor))
    assert copy(6) == 42


def test_a_function_of_main_goes_by_value():
    def made(x):
        return x + 1

    made.__module__, made.__qualname__ = "__main__", "made"
    copy = loads(dumps(made))
    assert copy is not made
    assert copy(1) == 2


def test_what_no_pickle_can_hold_is_refused():
    with pytest.raises(TrainError) as caught:
        dumps(("run", threading.Lock()))
    assert str(caught.value) == (
        "cannot be sent to another process: TypeError: cannot pickle '_thread.lock' object\n"
        "  fix: keep locks, open files and connections out of what is sent; open them inside"
    )
