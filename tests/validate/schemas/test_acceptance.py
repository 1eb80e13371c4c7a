from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gristmill.core.errors import UsageError
from gristmill.validate import Edit, FeatureSpec, Schema
from gristmill.validate.schemas.acceptance import Proposal, accept, chosen, read_record
from gristmill.validate.schemas.safety import ranked, safety

OPTIONAL = Edit("tip", "", None, FeatureSpec(type="float", required=False))
WIDER = Edit("age", "max", 120, 130)
DROPPED = Edit("age", "required", True, False)
PROPOSALS = [
    Proposal(DROPPED, "missing_column"),
    Proposal(WIDER, "out_of_range", "1 of 9 cells is not at most 120: 130"),
    Proposal(OPTIONAL, "new_column"),
]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (OPTIONAL, "safe"),
        (WIDER, "loosens"),
        (DROPPED, "risky"),
        (Edit("age", "max", 120, 110), "safe"),
        (Edit("age", "type", "int", "string"), "risky"),
        (Edit("age", "domain", ["a"], ["a", "b"]), "loosens"),
        (Edit("age", "domain", ["a", "b"], ["a"]), "risky"),
        (Edit("age", "max_unseen", 0.0, 0.01), "loosens"),
        (Edit("age", "max_unseen", 0.0, 0.3), "risky"),
        (Edit("age", "min_present", 0.99, 0.2), "risky"),
        (Edit("age", "unique", True, False), "risky"),
        (Edit("age", "note", "", "x"), "safe"),
        (Edit(None, "max_rows", None, 10), "safe"),
        (Edit("age", "pattern", "a", None), "risky"),
    ],
)
def test_safety_of_edits(edit: Edit, expected: str) -> None:
    assert safety(edit) == expected


def test_the_safest_edits_come_first() -> None:
    assert ranked([DROPPED, WIDER, OPTIONAL]) == [OPTIONAL, WIDER, DROPPED]


def test_proposals_are_chosen_by_feature_code_and_number() -> None:
    assert chosen(PROPOSALS) == PROPOSALS
    assert chosen(PROPOSALS, features=["age"], codes=["out_of_range"]) == [PROPOSALS[1]]
    assert chosen(PROPOSALS, numbers=[3]) == [PROPOSALS[2]]
    with pytest.raises(UsageError) as caught:
        chosen(PROPOSALS, numbers=[4])
    assert str(caught.value) == "no proposed edit has the number 4\n  fix: use one of 1, 2, 3"


def test_accepting_leaves_a_record_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "orders.toml"
    path.write_text('[features.age]  # years\ntype = "int"\nmax = 120\n')
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert read_record(path) == []
    accept(path, PROPOSALS[1:2], author="ann", at=moment)
    accept(path, PROPOSALS[2:], author="bob", at=moment)
    assert "# years" in path.read_text()
    assert Schema.read(path).features["age"].max == 130
    first, second = read_record(path)
    assert (first.at, first.author, first.code) == (
        "2024-01-02T03:04:05+00:00",
        "ann",
        "out_of_range",
    )
    assert (first.finding, first.old, first.new) == (PROPOSALS[1].message, 120, 130)
    assert (second.feature, second.key, second.safety) == ("tip", "", "safe")


@pytest.mark.parametrize("edit", [Edit("age", "type", "int", "any"), Edit("age", "", {}, None)])
def test_a_type_change_is_not_answered_by_looking_away(edit: Edit, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[features.age]\ntype = "int"\n')
    with pytest.raises(UsageError, match="wrong_type of 'age' is not answered by switching"):
        accept(path, [Proposal(edit, "wrong_type")])
    assert not read_record(path)
