import numpy as np
import pytest

from gristmill.serve.replicas.description import Description
from gristmill.serve.replicas.messages import Opened
from gristmill.serve.runners.rows import Rows
from gristmill.store.signature import Field

OPENED = Opened("m", "f" * 32, (Field("t", "string"),), (Field("y", "float"),), ("a", "b"), 0.5)


class Told(Description):
    opened = OPENED


def test_it_says_what_was_opened():
    told = Told()
    assert (told.name, told.fingerprint, told.classes) == ("m", "f" * 32, ("a", "b"))
    assert (told.inputs, told.outputs) == (OPENED.inputs, OPENED.outputs)
    assert told.work(Rows({"t": ["12345"]})).tolist() == [3]
    assert told.work(Rows({"x": np.ones(2)})).tolist() == [1, 1]


def test_nothing_is_known_of_nothing():
    with pytest.raises(NotImplementedError):
        _ = Description().name
