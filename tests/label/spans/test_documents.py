from __future__ import annotations

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.spans.documents import Documents, tokenize


def test_texts_are_cut_into_words_and_signs() -> None:
    assert tokenize("Dr. Ann-Marie  paid €3!") == (
        "Dr", ".", "Ann", "-", "Marie", "paid", "€", "3", "!",
    )  # fmt: skip


def test_documents_of_a_column_of_texts_or_tokens() -> None:
    frame = pl.DataFrame({"row_id": ["a", "b"], "text": ["one two", None], "cut": [["x"], ["y"]]})
    of_texts = Documents.from_table(frame)
    assert of_texts.tokens == (("one", "two"), ())
    assert of_texts.offsets.tolist() == [0, 2, 2]
    assert [(each.row_id, each.text) for each in of_texts] == [("a", "one two"), ("b", "")]
    assert Documents.from_table(frame, "cut").tokens == (("x",), ("y",))


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(LabelError, match=r"found the text 'a b'\n  fix: cut it with tokenize"):
        Documents.of(["a b"])  # type: ignore[list-item]
    with pytest.raises(LabelError, match=r"^no column 'text'; there are row_id, x$"):
        Documents.from_table(pl.DataFrame({"x": [1]}))
    with pytest.raises(LabelError, match="texts or lists of tokens in column 'x', found Int64"):
        Documents.from_table(pl.DataFrame({"x": [1]}), "x")
    with pytest.raises(LabelError, match="expected 1 row ids, found 2"):
        Documents.of([["a"]], [1, 2])


@pytest.mark.parametrize(("token", "found"), [(None, "None"), (["a", 1], r"\['a', 1\]")])
def test_documents_that_are_no_lists_of_texts_are_refused(token, found) -> None:
    with pytest.raises(
        LabelError, match=f"expected a list of texts, the tokens, found {found}"
    ) as e:
        Documents.of([["a"], token])
    assert e.value.where == "document 1"
