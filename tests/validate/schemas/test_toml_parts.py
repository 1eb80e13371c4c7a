from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.validate.schemas.toml_parts import comments_in, line_of, parts_of, tokens_of

TEXT = '''\
# ours
format = 1  # the layout

[features."a.b"]  # odd
type = "int"
domain = [
    # above
    "x # no comment",  # behind
    'y]', "z = 1",
]
'a = b'.c = { low = 1, "high # er" = [1, 2] }
note = """
[features.z]  # not a comment
min = 1""""
last = \'\'\'it's\'\'\'  # end'''


def test_the_parts_are_the_text_and_know_their_paths() -> None:
    parts = parts_of(TEXT)
    assert "".join(part.text for part in parts) == TEXT
    assert [(part.path, part.is_header) for part in parts if part.path] == [
        (("format",), False),
        (("features", "a.b"), True),
        (("features", "a.b", "type"), False),
        (("features", "a.b", "domain"), False),
        (("features", "a.b", "a = b", "c"), False),
        (("features", "a.b", "note"), False),
        (("features", "a.b", "last"), False),
    ]
    assert {part.table for part in parts[4:]} == {("features", "a.b")}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("format",), 2),
        (("features", "a.b"), 4),
        (("features", "a.b", "domain"), 6),
        (("features", "a.b", "a = b", "c", "high # er"), 11),
        (("features", "a.b", "note"), 12),
        (("features", "a.b", "last"), 15),
        (("features", "a.b", "none"), 4),
        (("features", "z", "min"), None),
        ((), None),
    ],
)
def test_lines_of_keys(path: tuple[str, ...], line: int | None) -> None:
    assert line_of(TEXT, path) == line


def test_lists_of_tables_and_other_line_ends_have_lines_too() -> None:
    assert line_of("[[a]]\r\nb = 1\r\n\r\n[[a]]\r\nc = 1\r\n", ("a", "c")) == 5
    assert line_of("a = 'x\u2028y'\nb = 1", ("b",)) == 2


def test_comments_within_texts_are_none() -> None:
    assert comments_in(TEXT) == ["# ours", "# the layout", "# odd", "# above", "# behind", "# end"]


@given(st.text(), st.text(min_size=1).filter(lambda name: name != "c"))
def test_any_text_is_one_token_however_it_is_written(value: str, name: str) -> None:
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.key([name, "b"]), tomlkit.string(value))
    document.add("c", tomlkit.string(value, multiline=True))
    text = document.as_string()
    assert "".join(tokens_of(text)) == text
    assert [part.path for part in parts_of(text) if part.path] == [(name, "b"), ("c",)]
    assert comments_in(text) == []
    assert [len(tomllib.loads(part.text)) for part in parts_of(text)] == [1, 1]
