"""Texts as the tokens of a trained tokenizer."""

from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.data.features import Tokens, featurizer_from_json, featurizer_to_json

tokenizers = pytest.importorskip("tokenizers")


def written(**ids):
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="unk"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_padding(length=7)  # what it says of padding and of truncation is left out
    made.enable_truncation(1)
    return made.to_str()


TOKENS = Tokens(written(pad=0, unk=1, one=2, two=3), max_tokens=3)


def test_ids_are_padded_with_0_and_cut():
    ids = TOKENS.encode(["one two", "", "two what one one one"])
    assert ids.tolist() == [[2, 3, 0], [0, 0, 0], [3, 1, 2]]
    assert TOKENS.encode(["one"]).tolist() == [[2]]
    assert TOKENS.encode([]).shape == (0, 1)
    assert TOKENS.size == 4
    values, offsets = TOKENS.encode_rows(["one two", "", "two what one one one"])
    assert (values.tolist(), offsets.tolist()) == ([2, 3, 0, 3, 1, 2], [0, 2, 3, 6])
    assert TOKENS.encode_rows(["one", "two two"]).values.tolist() == [2, 3, 3]


def test_a_column_of_a_frame():
    frame = pl.DataFrame({"text": ["two", None]})
    assert TOKENS.apply(frame).tolist() == [[3], [0]]
    with pytest.raises(DataError, match="column 'text': expected text, found Int64"):
        TOKENS.apply(pl.DataFrame({"text": [1]}))


def test_it_is_stored_as_json():
    assert featurizer_from_json(featurizer_to_json(TOKENS)) == TOKENS


def test_a_token_of_id_0():
    with pytest.raises(DataError, match="gives no token the id 0"):
        Tokens(written(unk=0, one=2)).encode(["one what"])


def test_what_is_no_tokenizer():
    with pytest.raises(DataError, match="not a tokenizer: "):
        Tokens("{}").encode(["one"])
    with pytest.raises(UsageError, match="expected max_tokens within"):
        Tokens("{}", max_tokens=0)
