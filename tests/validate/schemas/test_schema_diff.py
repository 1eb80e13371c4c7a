from __future__ import annotations

from gristmill.validate import Edit, FeatureSpec, Schema
from gristmill.validate.schemas.schema_diff import diff_schemas, render_diff

OLD = Schema(
    features={
        "age": FeatureSpec(type="int", max=120),
        "town": FeatureSpec(type="string", domain=("bern", "chur")),
        "gone": FeatureSpec(type="bool"),
    }
)


def test_differences_are_told_by_feature_and_key() -> None:
    new = OLD.apply(
        [
            Edit("age", "max", 120, 130),
            Edit("town", "domain", None, ["aarau", "bern"]),
            Edit("town", "note", "", "of birth"),
            Edit("gone", "", None, None),
            Edit("tip", "", None, FeatureSpec(type="float")),
            Edit(None, "min_rows", 1, 5),
            Edit(None, "key", [], ["age", "town"]),
            Edit("age", "max_mistyped", 0.0, 0.01),
        ]
    )
    changes = diff_schemas(OLD, new)
    assert render_diff(changes).splitlines() == [
        "[table] min_rows: (not set) -> 5",
        '[table] key: (not set) -> ["age", "town"]',
        "[features.age] max_mistyped: (not set) -> 0.01",
        "[features.age] max: 120 -> 130",
        '[features.town] domain: +"aarau" -"chur"',
        '[features.town] note: (not set) -> "of birth"',
        "[features.tip] added",
        "[features.gone] removed",
    ]
    assert [change.kind for change in changes][-2:] == ["added", "removed"]
    assert diff_schemas(new, new) == []
