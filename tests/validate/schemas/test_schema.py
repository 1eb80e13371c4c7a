from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.validate import Edit, FeatureSpec, Schema, TableSpec, profile

GOOD = """\
format = 1

[environments]
serving = "at the door"

[features.age]
type = "int"
min = 0
max = 120

[features.label]
type = "string"
domain = ["ham", "spam"]
not_in = ["serving"]
"""


def test_text_and_schema_are_each_others_inverse(orders: Callable[..., pl.DataFrame]) -> None:
    schema = Schema.infer(profile(orders()))
    assert Schema.parse(schema.text) == schema
    assert Schema.parse(schema.text).text == schema.text


def test_a_written_schema_is_read_back(tmp_path: Path) -> None:
    schema = Schema.parse(GOOD)
    schema.write(tmp_path / "schema.toml")
    assert Schema.read(tmp_path / "schema.toml") == schema
    schema.save(tmp_path)
    assert Schema.load(tmp_path) == schema
    assert schema.describe() == {
        "features": {"age": "int", "label": "string"},
        "environments": ["serving"],
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "max = 120",
            "maxx = 120",
            "s.toml, line 9, features.age.maxx: unknown key 'maxx'\n  fix: did you mean 'max'?",
        ),
        (
            "min = 0",
            'min = "zero"',
            "s.toml, line 8, features.age.min: expected `int | float | null`, got `str`",
        ),
        ("min = 0", "min = 200", "s.toml, line 8, features.age.min: min 200 is above max 120"),
        (
            '"string"',
            '"str"',
            "s.toml, line 12, features.label.type: invalid enum value 'str'",
        ),
        (
            '["serving"]',
            '["servng"]',
            "s.toml, line 14, features.label.not_in: unknown environment 'servng'\n"
            "  fix: did you mean 'serving'?",
        ),
        (
            "max = 120",
            "max_length = 120",
            "s.toml, line 9, features.age.max_length: 'max_length' is for string and bytes "
            "features, this one is int",
        ),
        (
            "format = 1",
            "format = 2",
            "s.toml, line 1, format: expected a schema of format 1, found 2\n"
            "  fix: upgrade gristmill, or infer the schema again",
        ),
        ("[environments]", "[enviroments]", "did you mean 'environments'?"),
        (
            "max = 120",
            "max_unseen = 1.5",
            "s.toml, line 9, features.age.max_unseen: expected a share in [0, 1], found 1.5",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Schema.parse(GOOD.replace(old, new, 1), where="s.toml")
    assert message in str(caught.value)


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"s\.toml: not valid TOML: Expected"):
        Schema.parse("[features", where="s.toml")
    with pytest.raises(UsageError, match="schema cannot be read"):
        Schema.read(tmp_path / "none.toml")


def test_a_diff_shows_what_changes() -> None:
    schema = Schema.parse(GOOD)
    edited = schema.apply([Edit("age", "max", 120, 130), Edit(None, "min_rows", 1, 10)])
    assert edited.features["age"].max == 130
    assert edited.table == TableSpec(min_rows=10)
    assert "-max = 120\n+max = 130" in schema.diff(edited)
    assert schema.diff(schema) == ""


def test_edits_add_features_and_refuse_unknown_ones() -> None:
    schema = Schema.parse(GOOD)
    added = schema.apply([Edit("new", "", None, FeatureSpec(type="float"))])
    assert added.features["new"] == FeatureSpec(type="float")
    with pytest.raises(UsageError, match="the schema has no feature 'agee' to edit"):
        schema.apply([Edit("agee", "max", 1, 2)])


def test_environments_choose_features() -> None:
    schema = Schema.parse(GOOD)
    assert list(schema.active("serving")) == ["age"]
    assert list(schema.active()) == ["age", "label"]
    with pytest.raises(UsageError, match="unknown environment 'prod'"):
        schema.active("prod")


def test_signature_fields_are_plain_dicts() -> None:
    schema = Schema.parse(GOOD.replace("max = 120", "max = 120\nmin_present = 0.9"))
    assert schema.signature_fields() == [
        {
            "name": "age",
            "kind": "int",
            "required": True,
            "max_length": None,
            "domain": None,
            "min": 0.0,
            "max": 120.0,
        },
        {
            "name": "label",
            "kind": "string",
            "required": False,
            "max_length": None,
            "domain": ["ham", "spam"],
            "min": None,
            "max": None,
        },
    ]
    assert [field["name"] for field in schema.signature_fields("serving")] == ["age"]
