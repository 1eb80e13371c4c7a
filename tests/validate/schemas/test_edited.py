from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate import Edit, FeatureSpec, Schema
from gristmill.validate.schemas.edited import edit_text

TEXT = """\
# ours
format = 1  # the layout

[environments]
serving = "at the door"

# people
[features.age]
type = "int"  # years
# nobody is older
max = 120  # see #7

[features."home town"]
type = "string"
domain = [
    # the capital
    "bern",  # BE
    "chur",
    # the last
]  # three

[features.fare]
type = "float"
drift_comparator = { infinity_norm = 0.1 }  # agreed
"""


def test_only_the_line_that_changes_is_touched() -> None:
    edited = edit_text(TEXT, [Edit("age", "max", 120, 130)])
    assert edited == TEXT.replace("max = 120", "max = 130")


def test_a_list_keeps_the_comments_of_its_values() -> None:
    domain = ["aarau", "bern", "chur"]
    edited = edit_text(TEXT, [Edit("home town", "domain", ["bern", "chur"], domain)])
    old = '    # the capital\n    "bern",  # BE\n'
    assert edited == TEXT.replace(old, f'    "aarau",\n{old}')


def test_new_keys_stand_in_order_and_new_features_at_the_end() -> None:
    edits = [Edit("age", "min", None, 0), Edit("tip", "", None, FeatureSpec(type="float", min=0))]
    edited = edit_text(TEXT, edits)
    assert 'type = "int"  # years\nmin = 0\n# nobody' in edited
    assert edited.endswith('\n\n[features.tip]\ntype = "float"\nmin = 0\n')


def test_table_rules_and_nested_keys_can_be_edited() -> None:
    edits = [
        Edit(None, "min_rows", 1, 5),
        Edit(None, "rules.fair.holds", None, "age > 0"),
        Edit(None, "severity.drift", None, "info"),
        Edit("fare", "drift_comparator.infinity_norm", 0.1, 0.2),
        Edit("age", "max", 120, None),
    ]
    schema = Schema.parse(edit_text(TEXT, edits))
    assert schema.table.min_rows == 5
    assert schema.rules["fair"].holds == "age > 0"
    assert schema.severity == {"drift": "info"}
    assert schema.features["fare"].drift_comparator.infinity_norm == 0.2
    assert schema.features["age"].max is None
    assert schema == Schema.parse(TEXT).apply(edits)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            Edit("agee", "max", 1, 2),
            "the schema has no feature 'agee' to edit\n  fix: did you mean",
        ),
        (Edit("age", "maxx", 1, 2), "a feature has no key 'maxx' to edit\n  fix: did you mean"),
        (Edit("age", "min", None, 200), "s.toml, line 10, features.age.min: min 200 is above max"),
        (Edit("age", "max", 120, "x"), "line 11, features.age.max: expected `int | float | null`"),
    ],
)
def test_edits_that_cannot_be_are_refused(edit: Edit, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        edit_text(TEXT, [edit], where="s.toml")
    assert message in str(caught.value)


def test_line_ends_stay_as_they_are() -> None:
    text = TEXT.replace("\n", "\r\n")
    edited = edit_text(text, [Edit("age", "max", 120, 130), Edit("age", "min", None, 0)])
    new = TEXT.replace("max = 120", "max = 130").replace("# years\n", "# years\nmin = 0\n")
    assert edited == new.replace("\n", "\r\n")


_VALUES = st.lists(st.text(max_size=8), min_size=1, max_size=30, unique=True)
_EDITS = st.one_of(
    st.integers(0, 10**6).map(lambda value: Edit("age", "max", None, value)),
    st.integers(-9, 0).map(lambda value: Edit("age", "min", None, value)),
    st.text(max_size=20).map(lambda value: Edit("age", "note", None, value)),
    _VALUES.map(lambda values: Edit("home town", "domain", None, values)),
    st.text(min_size=1, max_size=5).map(lambda n: Edit(n, "", None, FeatureSpec(type="bool"))),
    st.floats(0, 1).map(lambda value: Edit("fare", "drift", None, value)),
    st.just(Edit("home town", "domain", None, None)),
    st.just(Edit("age", "max", None, None)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_EDITS, max_size=6))
def test_every_comment_survives_and_the_meaning_is_the_edits(edits: list[Edit]) -> None:
    edits = [edit for edit in edits if edit.feature not in ("age", "fare", "home town") or edit.key]
    edited = edit_text(TEXT, edits)
    tomllib.loads(edited)
    assert Schema.parse(edited) == Schema.parse(TEXT).apply(edits)
    for comment in ("ours", "the layout", "people", "years", "nobody is older", "see #7"):
        assert f"# {comment}\n" in edited
    for comment in ("the capital", "BE", "the last", "three", "agreed"):
        assert f"# {comment}\n" in edited
