from __future__ import annotations

import pytest

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.label.augmenting.transformation import (
    TransformationFunction,
    transformation_function,
)
from gristmill.label.functions.preprocess import preprocessor


@transformation_function
def louder(row):
    """Shout."""
    return {"text": row.text.upper()}


def test_bare_and_with_arguments():
    assert louder.name == "louder"
    assert louder.kind == "row"
    assert not louder.draws
    assert louder.__doc__ == "Shout."
    assert repr(louder) == "TransformationFunction('louder', kind='row')"

    @transformation_function(name="other", kind="batch")
    def function(frame, rng):
        return frame

    assert (function.name, function.kind, function.draws) == ("other", "batch", True)
    assert function("frame", rng=None) == "frame"


def test_the_fingerprint_is_that_of_the_code():
    def same(row):
        return {"text": row.text.upper()}

    def other(row):
        return {"text": row.text.lower()}

    first = fingerprint(TransformationFunction("a", same))
    assert first == fingerprint(TransformationFunction("b", same))
    assert first != fingerprint(TransformationFunction("a", other))
    assert first != fingerprint(TransformationFunction("a", same, kind="batch"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "<lambda>"}, r"^transformation function '<lambda>': a transformation function n"),
        ({"kind": "cell"}, r"^transformation function 'f': expected a kind out of row, batch, fou"),
        (
            {"kind": "batch", "pre": [preprocessor(lambda row: {})]},
            r"^transformation function 'f': preprocessors are for functions of a row$",
        ),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(LabelError, match=message):
        TransformationFunction(**{"name": "f", "function": lambda row: None, **arguments})
