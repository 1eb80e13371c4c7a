from __future__ import annotations

import pickle

import pytest

from gristmill.core import errors
from gristmill.core.errors import DataError, GristmillError, ReadOnlyError, StoreError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GristmillError)
]


def test_a_message_says_where_and_what_to_do():
    error = DataError("expected 3 fields, found 2", where="a.csv, line 4", fix="mend the line")
    assert str(error) == "a.csv, line 4: expected 3 fields, found 2\n  fix: mend the line"
    assert str(DataError("no")) == "no"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_the_way_back_from_a_worker(kind):
    error = kind("what", where="here", fix="this")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.where, again.fix) == ("what", "here", "this")


def test_the_tree_in_the_docstring_is_the_tree():
    text = errors.__doc__ or ""
    for kind in KINDS:
        line = next(line for line in text.splitlines() if f"{kind.__name__} " in line)
        assert str(kind.exit_code) in line


def test_exit_codes_leave_0_to_success():
    assert all(kind.exit_code > 0 for kind in KINDS)
    assert issubclass(ReadOnlyError, StoreError)
