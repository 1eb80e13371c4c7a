"""One part: its name, its lock, and its rows; whole predictions are tested in `test_predict`."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import ServeError
from gristmill.serve.parts import Part, answer_batch, locked, name_of
from gristmill.serve.records import RecordError
from gristmill.serve.runner import ANSWER


class Parrot:
    """Stands in for a runner: refuses odd values, labels the others with themselves."""

    def check_records(
        self, records: list[dict[str, object]]
    ) -> tuple[list[dict[str, object]], list[RecordError]]:
        odd = [at for at, record in enumerate(records) if int(str(record["x"])) % 2]
        errors = [RecordError(at, "x", what, "odd") for at in odd for what in ("even", "fair")]
        return [record for at, record in enumerate(records) if at not in odd], errors

    def frame(self, records: list[dict[str, object]]) -> pl.DataFrame:
        return pl.DataFrame({"x": [record["x"] for record in records]}, schema={"x": pl.Int64})

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        rows = [{"label": str(x), "prob": 1.0, "probs": [1.0]} for x in frame["x"]]
        return pl.DataFrame(rows, schema=ANSWER)


def test_names_sort_as_parts_do() -> None:
    names = [name_of(Part(number, 0, 1)) for number in (0, 2, 10, 99_999_999)]
    assert names == sorted(names)
    assert names[1] == "part-00000002.parquet"


def test_good_and_bad_rows_find_their_places() -> None:
    batch = pl.DataFrame({"row_id": ["a", "b", "c", "d"], "x": [4, 3, 1, 2]})
    answers = answer_batch(Parrot(), batch)  # type: ignore[arg-type]
    assert answers.columns == ["row_id", "label", "prob", "probs", "error"]
    assert answers["row_id"].to_list() == ["a", "b", "c", "d"]
    assert answers["label"].to_list() == ["4", None, None, "2"]
    faults = "field 'x': expected even, found odd; field 'x': expected fair, found odd"
    assert answers["error"].to_list() == [None, faults, faults, None]


@pytest.mark.parametrize("values", [[], [1, 3], [2]])
def test_columns_have_one_type_whatever_the_rows(values: list[int]) -> None:
    batch = pl.DataFrame(
        {"row_id": values, "x": values}, schema={"row_id": pl.Int64, "x": pl.Int64}
    )
    answers = answer_batch(Parrot(), batch)  # type: ignore[arg-type]
    assert answers.schema == {"row_id": pl.Int64, **ANSWER, "error": pl.String}
    assert answers.height == len(values)


def test_a_lock_is_for_one_and_ends_with_its_holder(tmp_path: Path) -> None:
    work = tmp_path / "deep" / "work"
    with locked(work), pytest.raises(ServeError, match="another run"), locked(work):
        pass
    with locked(work):
        assert work.is_dir()
