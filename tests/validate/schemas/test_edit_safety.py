from __future__ import annotations

import pytest

from gristmill.validate import Edit, FeatureSpec
from gristmill.validate.schemas.edit_safety import ranked, safety, switches_off

OPTIONAL = Edit("tip", "", None, FeatureSpec(type="float", required=False))
WIDER = Edit("age", "max", 120, 130)
DROPPED = Edit("age", "required", True, False)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (OPTIONAL, "safe"),
        (Edit("tip", "", None, FeatureSpec(type="float", min_present=0.9)), "loosens"),
        (Edit("tip", "", {"type": "float"}, None), "risky"),
        (WIDER, "loosens"),
        (DROPPED, "risky"),
        (Edit("age", "max", 120, 110), "safe"),
        (Edit("age", "min", None, 0), "safe"),
        (Edit("age", "type", "int", "string"), "risky"),
        (Edit("age", "type", "int", "float"), "risky"),
        (Edit("age", "domain", ["a"], ["a", "b"]), "loosens"),
        (Edit("age", "domain", ["a", "b"], ["a"]), "risky"),
        (Edit("age", "null_values", ["?"], ["?", "NA"]), "risky"),
        (Edit("age", "max_unseen", 0.0, 0.01), "loosens"),
        (Edit("age", "max_unseen", 0.0, 0.3), "risky"),
        (Edit("age", "max_mistyped", 0.0, 0.001), "risky"),
        (Edit("age", "max_mistyped", 0.1, 0.001), "safe"),
        (Edit("age", "min_present", 0.99, 0.98), "loosens"),
        (Edit("age", "min_present", 0.99, 0.2), "risky"),
        (Edit("age", "unique", True, False), "risky"),
        (Edit("age", "unique", False, True), "safe"),
        (Edit("age", "negative", False, True), "risky"),
        (Edit("age", "order", "ascending", None), "risky"),
        (Edit("age", "note", "", "x"), "safe"),
        (Edit("age", "pattern", "a", None), "risky"),
        (Edit("age", "drift_comparator.jensen_shannon", 0.1, 0.2), "risky"),
        (Edit(None, "max_rows", None, 10), "safe"),
        (Edit(None, "key", [], ["a", "b"]), "safe"),
        (Edit(None, "key", ["a", "b"], ["a"]), "safe"),
        (Edit(None, "key", ["a"], ["a", "b"]), "loosens"),
        (Edit(None, "key", ["a"], ["b"]), "risky"),
        (Edit(None, "key", ["a"], []), "risky"),
    ],
)
def test_safety_of_edits(edit: Edit, expected: str) -> None:
    assert safety(edit) == expected


def test_the_safest_edits_come_first() -> None:
    assert ranked([DROPPED, WIDER, OPTIONAL]) == [OPTIONAL, WIDER, DROPPED]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit("age", "type", "int", "any"), True),
        (Edit("age", "", {"type": "int"}, None), True),
        (Edit("age", "max_mistyped", 0.0, 0.5), True),
        (Edit("age", "max_mistyped", 0.0, 0.001), False),
        (Edit("age", "type", "int", "float"), False),
        (Edit(None, "key", ["a"], None), False),
    ],
)
def test_checks_of_types_are_not_switched_off(edit: Edit, expected: bool) -> None:
    assert switches_off(edit) == expected
