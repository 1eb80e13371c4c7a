"""Stored requests come from a file or from the signature; a line that is none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.errors import DataError
from gristmill.pipeline.releasing.stored_request import made_up_requests, read_requests


def test_a_signature_makes_good_requests_and_bad_ones(spam_bundle) -> None:
    found = {each.name: each.expect for each in made_up_requests(spam_bundle)}
    assert found == {
        "a record": "answer",
        "three records": "answer",
        "half a document": "refusal",
        "no records": "refusal",
        "without 'text'": "refusal",
        "'text' of another type": "refusal",
    }


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(
        '{"instances": [{"text": "hi"}], "label": "ham", "name": "greeting"}\n\n'
        '{"body": "{", "expect": "refusal"}\n'
    )
    one, two = read_requests(path)
    assert (one.name, one.label, one.payload) == (
        "greeting",
        "ham",
        b'{"instances":[{"text":"hi"}]}',
    )
    assert (two.name, two.payload, two.expect) == (f"{path}, line 3", b"{", "refusal")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "this is no stored request"),
        ('{"instanzes": []}', "unknown field `instanzes`"),
        ('{"expect": "refusal"}', "expected either instances or body"),
        ('{"body": "x", "expect": "maybe"}', "this is no stored request"),
    ],
)
def test_a_line_that_is_none(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match=said) as caught:
        read_requests(path)
    assert caught.value.where == f"{path}, line 1"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_requests(tmp_path / "none.jsonl")
