from __future__ import annotations

import pytest

from gristmill.validate import Comparator, FeatureSpec, RuleSpec, Schema, TableSpec
from gristmill.validate.schemas.contradictions import (
    of_feature,
    of_rule,
    of_schema,
    of_table,
)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"type": "int", "min": 2, "max": 1}, [("min", "min 2 is above max 1")]),
        ({"type": "string", "min_length": -1}, [("min_length", "expected at least 0, found -1")]),
        ({"type": "string", "domain": ()}, [("domain", "the domain allows no value at all")]),
        (
            {"type": "string", "domain": ("a",), "varies": True},
            [("varies", "the domain has one value, and yet the column must vary")],
        ),
        (
            {"type": "bool", "zeros": True, "negative": False},
            [
                ("negative", "'negative' is for int and float features, this one is bool"),
                ("zeros", "'zeros' is for int and float features, this one is bool"),
            ],
        ),
        (
            {"type": "float", "drift": 1.5, "max_nan": float("nan")},
            [
                ("max_nan", "expected a share in [0, 1], found nan"),
                ("drift", "expected a share in [0, 1], found 1.5"),
            ],
        ),
        (
            {"type": "int", "skew_comparator": Comparator(jensen_shannon=float("inf"))},
            [("skew_comparator.jensen_shannon", "expected a limit of at least 0, found inf")],
        ),
        (
            {"type": "int", "severity": {"type": "info"}},
            [("severity.type", "no finding has the code 'type'")],
        ),
        ({"type": "time", "earliest": "2024-01-01", "latest": "2024-01-01T00:00:00Z"}, []),
        ({"type": "any"}, []),
    ],
)
def test_contradictions_of_a_feature(
    keys: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    found = of_feature(FeatureSpec(**keys), ())
    assert [(each.key, each.message) for each in found] == expected


def test_contradictions_of_a_table() -> None:
    table = TableSpec(
        min_growth=2, max_growth=1, max_duplicates=1.1, correlation=3, key=("a", "b", "b")
    )
    assert [(each.key, each.message) for each in of_table(table, ["a", "b"])] == [
        ("min_growth", "min_growth 2 is above max_growth 1"),
        ("max_duplicates", "expected a share in [0, 1], found 1.1"),
        ("correlation", "expected a number in [0, 2], found 3"),
        ("key", "the key names 'b' twice"),
    ]


def test_contradictions_of_a_rule() -> None:
    rule = RuleSpec(holds=" ", environments=("servng",), max_broken=2)
    assert [(each.key, each.message, each.fix) for each in of_rule(rule, ["serving"])] == [
        ("holds", "expected SQL for 'holds', found nothing", None),
        ("max_broken", "expected a share in [0, 1], found 2", None),
        ("environments", "unknown environment 'servng'", "did you mean 'serving'?"),
    ]


def test_each_contradiction_of_a_schema_has_its_table() -> None:
    schema = Schema(
        features={"x": FeatureSpec(type="int", min=2, max=1)},
        table=TableSpec(key=("y",)),
        severity={"drfit": "info"},
        rules={"r": RuleSpec()},
    )
    assert [(place, each.key) for place, each in of_schema(schema)] == [
        (("features", "x"), "min"),
        (("table",), "key"),
        (("severity",), "drfit"),
        (("rules", "r"), ""),
    ]
