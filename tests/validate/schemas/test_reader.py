# ruff: noqa: E501 - a mistake and its message read best side by side
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.validate import Comparator, FeatureSpec, RuleSpec, Schema, TableSpec
from gristmill.validate.schemas.finding_codes import SEVERITIES

HEAD = 'format = 1\n\n[environments]\ntraining = "to learn"\n\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('type = "flot"', "line 7, features.x.type: invalid enum value 'flot'\n  fix: did you mean 'float'?"),
        ('type = "float"\ndomain = ["a"]', "line 8, features.x.domain: 'domain' is for string and int features, this one is float"),
        ('type = "int"\npattern = "a"', "line 8, features.x.pattern: 'pattern' is for string features, this one is int"),
        ('type = "string"\npattern = "(a"', "line 8, features.x.pattern: the pattern '(a' is no regular expression that can be compiled\n  fix: write it in Rust syntax, without look-around"),
        ('type = "time"\nmax_age = "two days"', "line 8, features.x.max_age: expected an age such as '2 days' or '6 hours', found 'two days'"),
        ('type = "time"\nearliest = "1.2.2024"', "line 8, features.x.earliest: expected a time in ISO 8601, found '1.2.2024'\n  fix: write a date, such as 2024-01-31, or a time, such as 2024-01-31T12:00:00"),
        ('type = "time"\nlatest = "2020-01-01"\nearliest = "2021-01-01"', "line 9, features.x.earliest: earliest 2021-01-01 is after latest 2020-01-01"),
        ('type = "int"\nmin_values = 1', "line 8, features.x.min_values: 'min_values' is for lists, and nesting is 0 here\n  fix: say nesting = 1, or leave the bound out"),
        ('type = "int"\nnot_in = ["training"]\nonly_in = ["training"]', "line 9, features.x.only_in: 'not_in' and 'only_in' cannot both be given\n  fix: say in which environments the column is, or in which it is not"),
        ('type = "int"\nonly_in = ["trainin"]', "line 8, features.x.only_in: unknown environment 'trainin'\n  fix: did you mean 'training'?"),
        ('type = "int"\ndomain = [\n  1,\n  "a",\n]', "line 8, features.x.domain: expected values of type int in the domain, found 'a'"),
        ('type = "int"\ndomain = [1, 2, 1]', "line 8, features.x.domain: the domain names 1 twice"),
        ('type = "int"\nnegative = false\nmax = -1', "line 9, features.x.max: max -1 allows negative numbers only, negative none"),
        ('type = "int"\nmin_count = -1', "line 8, features.x.min_count: expected at least 0, found -1"),
        ('type = "float"\nmax = inf', "line 8, features.x.max: expected a finite number, found inf"),
        ('type = "int"\ndrift_comparator = { infinty_norm = 0.1 }', "line 8, features.x.drift_comparator.infinty_norm: unknown key 'infinty_norm'\n  fix: did you mean 'infinity_norm'?"),
        ('type = "int"\n[features.x.skew_comparator]\ninfinity_norm = -1', "line 9, features.x.skew_comparator.infinity_norm: expected a limit of at least 0, found -1.0"),
        ('type = "int"\n[table]\nkey = ["y"]', "line 9, table.key: the key names 'y', which is no feature of this schema\n  fix: name features only"),
        ('type = "int"\n[rules.r]\nmessage = "?"', "line 8, rules.r: a rule needs one of 'holds' and 'sql', this one has neither"),
        ('type = "int"\n[rules.r]\nholds = "x > 0"\nsql = "SELECT"', "line 10, rules.r.sql: a rule needs one of 'holds' and 'sql', this one has both"),
        ('type = "int"\n[rules.r]\nhold = "x > 0"', "line 9, rules.r.hold: unknown key 'hold'\n  fix: did you mean 'holds'?"),
        ('type = "int"\nmax_mistyped = 1.0', 'line 8, features.x.max_mistyped: max_mistyped 1.0 lets every cell through, and so the type says nothing\n  fix: say type = "any"'),
        ('type = "int"\nmax_mistyped = -0.1', "line 8, features.x.max_mistyped: expected a share in [0, 1], found -0.1"),
        ('type = "int"\nseverity = { drft = "info" }', "line 8, features.x.severity.drft: no finding has the code 'drft'\n  fix: did you mean 'drift'?"),
        ('type = "int"\n[features.x.severity]\nunseen_values = "info"', "line 9, features.x.severity.unseen_values: no finding has the code 'unseen_values'\n  fix: did you mean 'unseen_value'?"),
        ('type = "int"\n[severity]\ndrift = "info"\nnew_colum = "info"', "line 10, severity.new_colum: no finding has the code 'new_colum'\n  fix: did you mean 'new_column'?"),
        ('type = "int"\n[table]\nkey = ["x", "x"]', "line 9, table.key: the key names 'x' twice"),
        ('type = "int"\n[table]\nmin_rows = 5\nmax_rows = 4', "line 9, table.min_rows: min_rows 5 is above max_rows 4"),
    ],
)  # fmt: skip
def test_contradictions_are_named_with_line_and_remedy(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Schema.parse(f"{HEAD}[features.x]\n{text}\n", where="s.toml")
    assert str(caught.value) == f"s.toml, {message}"


def test_odd_names_and_texts_over_many_lines_do_not_mislead_the_line() -> None:
    text = (
        '[rules."a.b"]\nsql = """\n[features.x]\nmin = 1  # not here\n"""\n'
        '[features."x = [y] # z"]\ntype = "int"\nmin = "a"\n'
    )
    with pytest.raises(UsageError, match=r"line 8, features\.x = \[y\] # z\.min: expected `int"):
        Schema.parse(text)


_TEXTS = st.text(max_size=12)
_NUMBERS = st.one_of(st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False))
_SHARES = st.floats(0, 1)
_COMMON = {
    "required": st.booleans(),
    "min_present": _SHARES,
    "null_values": st.lists(st.one_of(_TEXTS, _NUMBERS), max_size=3).map(tuple),
    "drift_comparator": st.none() | st.builds(Comparator, infinity_norm=st.none() | _SHARES),
    "severity": st.dictionaries(
        st.sampled_from(list(SEVERITIES)), st.sampled_from(["error", "info"]), max_size=2
    ),
    "only_in": st.sampled_from([(), ("serving",)]),
    "note": _TEXTS,
    "tfdv": st.text(st.sampled_from('a"\n\r\\\t#'), max_size=12),
}
_STRINGS = st.builds(
    FeatureSpec,
    type=st.just("string"),
    domain=st.none() | st.lists(_TEXTS, min_size=1, max_size=40, unique=True).map(tuple),
    pattern=st.sampled_from([None, r"\d+'", r"[\"\\]\p{Lu}", "a b"]),
    **_COMMON,
)
_INTS = st.builds(
    FeatureSpec,
    type=st.sampled_from(["int", "float"]),
    min=_NUMBERS,
    zeros=st.booleans(),
    **_COMMON,
)
_SCHEMAS = st.builds(
    Schema,
    features=st.dictionaries(_TEXTS, _STRINGS | _INTS, max_size=4),
    table=st.builds(TableSpec, min_rows=st.integers(0, 9), max_duplicates=st.none() | _SHARES),
    environments=st.just({"serving": "at the door"}),
    rules=st.dictionaries(
        _TEXTS, st.builds(RuleSpec, sql=_TEXTS.map(lambda text: f"SELECT\n{text}")), max_size=2
    ),
)


@settings(max_examples=150, deadline=None)
@given(_SCHEMAS)
def test_any_schema_comes_back_from_its_text(schema: Schema) -> None:
    assert Schema.parse(schema.text) == schema
    assert Schema.parse(schema.text).text == schema.text
