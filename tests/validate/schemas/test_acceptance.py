from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gristmill.core.errors import UsageError
from gristmill.validate import Edit, FeatureSpec, Schema
from gristmill.validate.schemas import acceptance
from gristmill.validate.schemas.acceptance import (
    Proposal,
    accept,
    chosen,
    read_record,
    record_path,
)

OPTIONAL = Edit("tip", "", None, FeatureSpec(type="float", required=False))
WIDER = Edit("age", "max", 120, 130)
DROPPED = Edit("age", "required", True, False)
PROPOSALS = [
    Proposal(DROPPED, "missing_column"),
    Proposal(WIDER, "out_of_range", "1 of 9 cells is not at most 120: 130"),
    Proposal(OPTIONAL, "new_column"),
]


def test_proposals_are_chosen_by_feature_code_and_number() -> None:
    assert chosen(PROPOSALS) == PROPOSALS
    assert chosen(PROPOSALS, features=["age"], codes=["out_of_range"]) == [PROPOSALS[1]]
    assert chosen(PROPOSALS, numbers=[3]) == [PROPOSALS[2]]
    with pytest.raises(UsageError) as caught:
        chosen(PROPOSALS, numbers=[4])
    assert str(caught.value) == "no proposed edit has the number 4\n  fix: use one of 1, 2, 3"
    of_table = Proposal(Edit(None, "min_rows", 10, 5), "too_few_rows")
    with pytest.raises(
        UsageError, match="no proposed edit has the feature 'x'\n  fix: use one of age"
    ):
        chosen([of_table, PROPOSALS[1]], features=["x"])


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


@pytest.fixture
def ages(tmp_path: Path) -> Path:
    path = tmp_path / "ages.toml"
    path.write_bytes(b'[features.age]  # years\r\ntype = "int"\r\nmax = 120\r\n')
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            Edit("age", "max", 110, 130),
            "the schema says 120 now, and said 110 when this was proposed: "
            "[features.age] max = 130 (was 110)",
        ),
        (
            Edit("age", "min", 1, 0),
            "the schema says null now, and said 1 when this was proposed: "
            "[features.age] min = 0 (was 1)",
        ),
        (
            Edit("age", "", None, FeatureSpec(type="float")),
            'the schema says {"type":"int","max":120} now, and said null when this was proposed: '
            '[features.age] add, type = "float"',
        ),
    ],
)
def test_a_change_proposed_for_another_schema_is_refused(
    edit: Edit, message: str, ages: Path
) -> None:
    before = ages.read_bytes()
    with pytest.raises(UsageError) as caught:
        accept(ages, [PROPOSALS[2], Proposal(edit, "out_of_range")])
    fix = "check the data again, and accept from the new report"
    assert str(caught.value) == f"{ages}: {message}\n  fix: {fix}"
    assert ages.read_bytes() == before
    assert not record_path(ages).exists()


def test_old_values_may_be_defaults_lists_and_those_of_a_saved_report(ages: Path) -> None:
    edits = [
        Edit("age", "required", True, False),
        Edit("age", "null_values", (), ["NA"]),
        Edit("age", "severity.drift", None, "info"),
        Edit(None, "key", [], ["age"]),
        Edit(None, "severity.drift", None, "warning"),
    ]
    accept(ages, [Proposal(edit, "drift") for edit in edits])
    spec = Schema.read(ages).features["age"]
    assert (spec.required, spec.null_values, spec.severity) == (False, ("NA",), {"drift": "info"})
    assert Schema.read(ages).table.key == ("age",)


def test_no_change_is_made_that_is_not_on_record(
    ages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is on the disk when the schema is written, and tells what did not happen."""
    before = ages.read_bytes()

    def killed(_path: Path, _data: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(acceptance, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            accept(ages, PROPOSALS[1:2], author="ann")
    assert ages.read_bytes() == before
    assert b'"author":"ann"' in record_path(ages).read_bytes()
    assert read_record(ages) == []
    accept(ages, PROPOSALS[1:2], author="bob")
    assert [entry.author for entry in read_record(ages)] == ["bob"]
    assert ages.read_bytes() == before.replace(b"max = 120", b"max = 130")
    accept(ages, PROPOSALS[2:], author="cyd")
    assert [entry.author for entry in read_record(ages)] == ["bob", "cyd"]


def test_entries_of_a_schema_that_was_put_back_do_not_count(ages: Path) -> None:
    before = ages.read_bytes()
    accept(ages, PROPOSALS[1:], author="ann")
    assert len(read_record(ages)) == 2
    edited_by_hand = ages.read_bytes() + b"# ours"
    ages.write_bytes(edited_by_hand)
    assert len(read_record(ages)) == 2
    ages.write_bytes(before)
    assert read_record(ages) == []


def test_a_record_cut_short_is_mended_and_a_damaged_one_is_named(ages: Path) -> None:
    accept(ages, PROPOSALS[1:2], author="ann")
    with record_path(ages).open("ab") as file:
        file.write(b'{"at":"2024')
    assert [entry.author for entry in read_record(ages)] == ["ann"]
    accept(ages, PROPOSALS[2:], author="bob")
    assert [entry.author for entry in read_record(ages)] == ["ann", "bob"]
    record_path(ages).write_bytes(b"{}\n")
    with pytest.raises(
        UsageError, match=r"ages\.accepted\.jsonl: the record cannot be read: Object"
    ):
        read_record(ages)


def test_a_schema_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: the schema cannot be read: "):
        accept(tmp_path / "none.toml", PROPOSALS)


def test_acceptances_at_once_lose_nothing(tmp_path: Path) -> None:
    path, count = tmp_path / "schema.toml", 6
    path.write_text("".join(f'[features.f{n}]\ntype = "int"\nmin = 0\n' for n in range(count)))
    barrier = threading.Barrier(count)

    def take(number: int) -> None:
        barrier.wait()
        accept(path, [Proposal(Edit(f"f{number}", "min", 0, number + 1), "out_of_range")])

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(take, range(count)))
    features = Schema.read(path).features
    assert [features[f"f{n}"].min for n in range(count)] == [n + 1 for n in range(count)]
    assert len(read_record(path)) == count
