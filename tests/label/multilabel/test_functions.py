from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.multilabel.functions import apply_multilabel, multilabel_function

TABLE = pl.DataFrame({"row_id": [7, 3], "text": ["sport and money", "art"]})


@multilabel_function
def words(row):
    return [word for word in ("sport", "money", "art") if word in row.text]


@multilabel_function(name="editor", closed=True)
def editing(row):
    return {"art"} if row["text"] == "art" else None


def test_rows_keep_their_order_and_ids() -> None:
    votes = apply_multilabel([words, editing], TABLE, labels=["sport", "money", "art"])
    assert votes.row_ids.to_list() == [7, 3]
    assert votes.names == ("words", "editor")
    assert votes["sport"].matrix.tolist() == [[1, -1], [-1, 0]]
    assert votes["art"].matrix.tolist() == [[-1, -1], [1, 1]]


def test_fingerprints_are_those_of_the_functions() -> None:
    votes = apply_multilabel([words, editing], TABLE, labels=["sport", "money", "art"])
    assert votes["art"].fingerprints == votes["money"].fingerprints
    assert len(set(votes["art"].fingerprints)) == 2


def test_a_function_that_raises_is_named_with_its_row() -> None:
    @multilabel_function
    def broken(row):
        return row.text[99]

    with pytest.raises(LabelError) as caught:
        apply_multilabel([broken], TABLE, labels=["a", "b"])
    assert str(caught.value) == (
        "multi-label function 'broken', row 7: raised IndexError: string index out of range"
    )


def test_functions_need_names_of_their_own() -> None:
    with pytest.raises(LabelError, match=r"different names, found \['words', 'words'\]"):
        apply_multilabel([words, words], TABLE, labels=["a", "b"])
    with pytest.raises(LabelError, match="needs a name"):
        multilabel_function(lambda row: [])


def test_a_function_without_the_decorator_is_refused() -> None:
    with pytest.raises(
        LabelError, match=r"^expected multi-label functions, found function"
    ) as caught:
        apply_multilabel([lambda row: None], pl.DataFrame({"text": ["a"]}), labels=["a", "b"])
    assert caught.value.fix == "decorate it with @multilabel_function"
