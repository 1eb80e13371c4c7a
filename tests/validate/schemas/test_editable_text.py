from __future__ import annotations

import tomllib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.validate.schemas.editable_text import EditableText
from gristmill.validate.schemas.toml_parts import comments_in

TEXT = """\
# ours
format = 1

[environments]
serving = "at the door"

# people
[features.age]
type = "int"  # years
domain = [
    1,  # one
]
drift_comparator = { infinity_norm = 0.1, source = "quantiles" }  # agreed

[features.age.severity]  # of age
drift = "info"  # rare

# by hand
[rules.fair]
holds = "age > 0"  # of course
"""


def _set(path: tuple[str, ...], value: object, text: str = TEXT) -> str:
    lines = EditableText(text)
    lines.set(path, value)
    return lines.text


def test_a_value_changes_where_it_stands() -> None:
    assert _set(("features", "age", "type"), "float") == TEXT.replace('"int"', '"float"')
    assert _set(("rules", "fair", "holds"), "age > 1") == TEXT.replace("> 0", "> 1")
    path = ("features", "age", "drift_comparator", "infinity_norm")
    assert _set(path, 0.25) == TEXT.replace("0.1", "0.25")
    assert 'drift_comparator = {  source = "quantiles" }  # agreed\n' in _set(path, None)
    assert _set(("features", "age", "severity", "drift"), "error") == TEXT.replace("info", "error")


def test_a_key_that_goes_leaves_its_comments() -> None:
    assert _set(("features", "age", "type"), None) == TEXT.replace(
        'type = "int"  # years', "# years"
    )
    old = "domain = [\n    1,  # one\n]\n"
    assert _set(("features", "age", "domain"), None) == TEXT.replace(old, "# one\n")


def test_a_new_key_stands_behind_those_before_it_and_not_below_a_later_comment() -> None:
    new = _set(("environments", "training"), "to learn")
    assert new == TEXT.replace('door"\n', 'door"\ntraining = "to learn"\n')
    new = _set(("features", "age", "required"), value=False)
    assert new == TEXT.replace("# years\n", "# years\nrequired = false\n")
    new = _set(("features", "age", "skew_comparator", "jensen_shannon"), 0.1)
    line = "skew_comparator = { jensen_shannon = 0.1 }\n"
    assert new == TEXT.replace("# agreed\n", f"# agreed\n{line}")


def test_a_new_table_stands_behind_its_kind_or_at_the_end() -> None:
    block = '[features.tip]\ntype = "bool"\n'
    new = _set(("features", "tip"), {"type": "bool"})
    assert new == TEXT.replace("# rare\n", f"# rare\n\n{block}")
    assert _set(("table", "min_rows"), 3) == f"{TEXT}\n[table]\nmin_rows = 3\n"
    assert _set(("table", "min_rows"), 3, "") == "[table]\nmin_rows = 3\n"
    assert _set(("table", "min_rows"), 3, "format = 1") == "format = 1\n\n[table]\nmin_rows = 3\n"


def test_a_table_that_goes_leaves_its_comments() -> None:
    new = _set(("features", "age"), None)
    assert tomllib.loads(new) == {k: v for k, v in tomllib.loads(TEXT).items() if k != "features"}
    for comment in ("people", "years", "one", "agreed", "of age", "rare"):
        assert f"# {comment}\n" in new


@pytest.mark.parametrize(
    "text",
    [
        "[features]\nage.type = 'int'  # a\nage.max = 5  # b\n",
        "features.age.type = 'int'  # a\nfeatures.age.max = 5  # b\n",
        "[features]\nage = { type = 'int', max = 5 }  # a # b\n",
        "features = { age = { type = 'int', max = 5 } }  # a # b\n",
        "[features.age]\ntype = 'int'  # a\n[table]\n[features.fare]\nmax = 5  # b\n",
    ],
)
def test_other_layouts_are_edited_in_place(text: str) -> None:
    feature = "fare" if "fare" in text else "age"
    new = _set(("features", feature, "max"), 7, text)
    assert new == text.replace("5", "7")


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("[features]\nage.type = 'int'  # a\n", "[features]\nage.type = 'int'  # a\nage.max = 7\n"),
        ("features.age.type = 'int'\n", "features.age.type = 'int'\nfeatures.age.max = 7\n"),
    ],
)
def test_new_keys_follow_the_layout(text: str, new: str) -> None:
    assert _set(("features", "age", "max"), 7, text) == new


_BLOCKS = [
    "# 1\nformat = 1  # 2\n",
    "[features.age]  # 3\ntype = 'int'  # 4\n\n# 5 ]\nmax = 5\n",
    "[features.town]\ndomain = [ # 6\n  'a # no', \"b\", # 7\n  # 8\n  'c' # 9\n] # 10\n",
    '[features.tip]\nseverity.drift = "info"  # 11\nnote = """\n# no\n"""\n',
    "[features.age.severity]  # 12\ndrift = 'info'  # 13\n",
    "[table]\nkey = ['age', # 14\n]\n# 15\n",
    "[features.fare]\nseverity = { drift = 'info' }  # 16",
]
_FEATURES = st.sampled_from(["age", "town", "tip", "fare"])
_PATHS = st.one_of(
    st.tuples(st.just("features"), _FEATURES | st.just("new")),
    st.tuples(st.just("features"), _FEATURES, st.sampled_from(["type", "max", "domain", "note"])),
    st.tuples(st.just("features"), _FEATURES, st.just("severity")),
    st.tuples(
        st.just("features"), _FEATURES, st.just("severity"), st.sampled_from(["drift", "other"])
    ),
    st.tuples(st.just("table"), st.sampled_from(["key", "min_rows"])),
)
_LISTS = st.lists(st.sampled_from("abc'#"), unique=True)
_NEW = st.one_of(st.none(), st.integers(), st.text(), _LISTS)


def _set_plainly(document: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document.pop(path[-1], None)
    if value is not None:
        document[path[-1]] = value


def _without_empty(value: object) -> object:
    """A table whose last key goes may stay or go."""
    if not isinstance(value, dict):
        return value
    inner = {name: _without_empty(item) for name, item in value.items()}
    return {name: item for name, item in inner.items() if item != {}}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(_BLOCKS[1:]), unique=True),
    st.lists(st.tuples(_PATHS, _NEW), min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_edit_of_any_layout_says_what_it_shall_and_keeps_all_comments(
    blocks: list[str], edits: list[tuple[tuple[str, ...], object]], end: str
) -> None:
    text = "\n".join([_BLOCKS[0], *blocks])
    lines, document = EditableText(text.replace("\n", end)), tomllib.loads(text)
    for path, new in edits:
        table = new is not None and (
            path[-1] == "severity" or (path[0] == "features" and len(path) == 2)
        )
        value = {"drift": "error"} if table else new
        _set_plainly(document, path, value)
        lines.set(path, value)
    assert _without_empty(tomllib.loads(lines.text)) == _without_empty(document)
    left = Counter(comments_in(lines.text.replace("\r\n", "\n")))
    assert Counter(comments_in(text)) - left == Counter()


def test_many_edits_read_the_text_once() -> None:
    text = "".join(f'[features.c{n}]\ntype = "int"  # {n}\nmax = 1\n\n' for n in range(300))
    lines = EditableText(text)
    for n in range(300):
        lines.set(("features", f"c{n}", "max"), 2)
    assert lines.text == text.replace("max = 1", "max = 2")
