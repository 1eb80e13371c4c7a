from __future__ import annotations

import pickle

import pytest

from gristmill.label.functions.preprocess import Preprocessor, preprocessor


@preprocessor
def length(row):  # type: ignore[no-untyped-def]
    """Count."""
    return {"length": len(row.text)}


@preprocessor(pre=[length])
def doubled(row):  # type: ignore[no-untyped-def]
    return {"doubled": 2 * row.length}


def test_the_fingerprint_is_of_the_code_and_of_what_it_needs() -> None:
    def make(step: int) -> Preprocessor:
        inner = preprocessor(lambda row: {"n": step})
        return preprocessor(pre=[inner])(lambda row: {"m": row.n})

    assert make(1).__fingerprint__() == make(1).__fingerprint__()
    assert make(1).__fingerprint__() != make(2).__fingerprint__()


def test_it_keeps_name_and_docstring_and_refuses_to_travel_without_a_home() -> None:
    assert (length.name, length.__doc__) == ("length", "Count.")
    homeless = preprocessor(lambda row: {})
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(homeless)
