import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StoreError
from gristmill.serve.journal.prediction_ids import PredictionIds

KEY = bytes(range(16))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**40 - 1), st.integers(0, 10**9 - 1))
def test_a_name_says_what_it_was_made_of(number, row):
    ids = PredictionIds(KEY)
    assert ids.read(f"{ids.request('0123abcdef', number)}-{row}") == (number, row)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_other_texts_are_no_names(text):
    assert PredictionIds(KEY).read(text) is None


def test_a_name_of_another_key_or_number_is_none():
    name = PredictionIds(KEY).request("0123abcdef", 7)
    assert re.fullmatch(r"p0123abcd-0000000007[0-9a-f]{10}", name)
    assert PredictionIds(bytes(16)).read(f"{name}-0") is None
    assert PredictionIds(KEY).read(f"{name.replace('07', '08', 1)}-0") is None


def test_the_key_stays_with_the_folder(tmp_path):
    name = f"{PredictionIds.of(tmp_path).request('m', 3)}-1"
    assert PredictionIds.of(tmp_path).read(name) == (3, 1)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_was_cut_is_refused(tmp_path):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(StoreError, match="expected a key of 16 bytes, found 5"):
        PredictionIds.of(tmp_path)
