from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.label.functions.engine_rules import CLASSES, FUNCTIONS

from gristmill.core.errors import DataError, LabelError, StepError
from gristmill.engine import Engine
from gristmill.label import (
    LabelingFunction,
    Row,
    VoteCache,
    VoteParts,
    apply,
    apply_in_parts,
    labeling_function,
    stack,
)

TABLE = pl.DataFrame({"n": range(12), "text": list("abcabcabcabc")})
NAMED = TABLE.with_columns(pl.Series("row_id", [f"r{n}" for n in range(12)]))


@pytest.mark.parametrize("table", [TABLE, NAMED])
def test_parts_are_the_votes_in_order(tmp_path: Path, table: pl.DataFrame) -> None:
    whole = apply(FUNCTIONS, table, classes=CLASSES)
    table.write_parquet(tmp_path / "t.parquet")
    for source in (table, tmp_path / "t.parquet"):
        parts = apply_in_parts(FUNCTIONS, source, tmp_path / "v", classes=CLASSES, partition_rows=5)
        assert parts.rows == (5, 5, 2)
        assert parts.whole() == whole
        assert stack([part.read() for part in parts[1:]]).row_ids.equals(whole.row_ids[5:])
    assert VoteParts.load(tmp_path / "v") == parts
    assert repr(parts) == "VoteParts(12 rows in 3 parts, 6 sources, 2 classes)"


def test_parts_on_an_engine(tmp_path: Path, any_engine: Engine) -> None:
    NAMED.write_parquet(tmp_path / "t.parquet")
    parts = apply_in_parts(
        FUNCTIONS, tmp_path / "t.parquet", tmp_path / "v", classes=CLASSES, partition_rows=5,
        engine=any_engine,
    )  # fmt: skip
    assert parts.whole() == apply(FUNCTIONS, NAMED, classes=CLASSES)


def test_they_are_stored_as_other_results_are(tmp_path: Path) -> None:
    parts = apply_in_parts(FUNCTIONS, TABLE, tmp_path / "v", classes=CLASSES, partition_rows=5)
    (tmp_path / "copy").mkdir()
    parts.save(tmp_path / "copy")
    assert VoteParts.load(tmp_path / "copy").whole() == parts.whole()
    told = parts.describe()
    assert (told["rows"], told["parts"], told["classes"]) == (12, 3, CLASSES)
    with pytest.raises(LabelError, match="these are no votes in parts"):
        VoteParts.load(tmp_path)


def test_notes_say_what_was_recomputed(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path / "cache")
    for note in ("5 of 5 columns computed: no votes are cached for this table",
                 "0 of 5 columns recomputed"):  # fmt: skip
        found = apply_in_parts(
            [each for each in FUNCTIONS if each.name != "divides"],
            TABLE, tmp_path / "v", classes=CLASSES, cache=cache, partition_rows=5,
        )  # fmt: skip
        assert found.notes == (note,)


def test_ids_that_repeat_in_another_part_are_found(tmp_path: Path) -> None:
    ids = [f"r{n}" for n in range(11)] + ["r3"]
    TABLE.with_columns(pl.Series("row_id", ids)).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="'row_id' has value 'r3' more than once"):
        apply_in_parts(
            FUNCTIONS, tmp_path / "t.parquet", tmp_path / "v", classes=CLASSES, partition_rows=5
        )
    assert not (tmp_path / "v").exists()


def test_ids_that_seem_counted_at_first_are_compared_too(tmp_path: Path) -> None:
    TABLE.with_columns(row_id=pl.col("n") % 10).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"'row_id' has value [01] more than once"):
        apply_in_parts(
            FUNCTIONS, tmp_path / "t.parquet", tmp_path / "v", classes=CLASSES, partition_rows=5
        )


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(LabelError, match="expected a folder of votes in parts, or none"):
        apply_in_parts(FUNCTIONS, TABLE, tmp_path, classes=CLASSES)


def test_what_fails_leaves_the_votes_that_were_there(tmp_path: Path) -> None:
    before = apply_in_parts(FUNCTIONS, TABLE, tmp_path / "v", classes=CLASSES)
    wrong = labeling_function(name="wrong")(lambda row: row.nothing)
    with pytest.raises((LabelError, StepError), match="labelling function 'wrong', row 0"):
        apply_in_parts([wrong], TABLE, tmp_path / "v", classes=CLASSES)
    assert VoteParts.load(tmp_path / "v") == before


def test_a_machine_that_does_not_see_the_votes_says_so(tmp_path: Path) -> None:
    parts = apply_in_parts(FUNCTIONS, TABLE, tmp_path / "v", classes=CLASSES)
    (tmp_path / "v").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="put it where all machines see it"):
        parts[0].read()


def test_where_a_partition_fails_the_votes_on_the_others_are_kept(tmp_path: Path) -> None:
    for number in range(3):
        TABLE[4 * number : 4 * number + 4].write_parquet(tmp_path / f"{number}.parquet")
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    good = files[1].read_bytes()
    files[1].write_bytes(good[:4] + bytes(40) + good[44:])
    asked = tmp_path / "asked"

    def label() -> VoteParts:
        return apply_in_parts(
            [noting(asked)], files, tmp_path / "v", classes=2, engine="inline", partition_rows=4
        )

    with pytest.raises(DataError, match=r"no votes on 1 partition: .*1\.parquet, rows 4 to 8"):
        label()
    assert not (tmp_path / "v").exists()
    assert asked.read_text().split() == ["0", "1", "2", "3", "8", "9", "10", "11"]
    files[1].write_bytes(good)
    parts = label()
    assert asked.read_text().split()[8:] == ["4", "5", "6", "7"]
    assert parts.notes == ("1 of 1 columns recomputed: noting (1 of 3 partitions are new)",)
    assert [votes.matrix[:, 0].tolist() for votes in parts.votes()] == [[0, 1, 0, 1]] * 3
    assert not (tmp_path / ".v.votes").exists()
    assert label().notes == ()


def noting(asked: Path) -> LabelingFunction:
    """A function that notes the rows that it is asked about in a file."""

    def votes(row: Row) -> int:
        with asked.open("a") as file:
            file.write(f"{row.n} ")
        return int(row.n) % 2

    return labeling_function(name="noting")(votes)
