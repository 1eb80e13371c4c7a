"""A table of truths, told at once."""

import polars as pl
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.kept_predictions import kept_predictions
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.telling import tell_truths


@pytest.fixture
def served(tmp_path):
    """The folder of a model, and the names of its predictions for the keys 007, o-1 and o-2."""
    folder = tmp_path / "served"
    keys = ["007", "o-1", "o-2"]
    with PredictionLog(folder, classes=("0", "1")) as log:
        name = log.name("abcdef")
        log.note(name, "abcdef", Rows({"x": keys}), Rows({"label": ["0"] * 3}), keys)
    return folder, [f"{name}-{row}" for row in range(3)]


def truths(folder):
    return [(kept.truth, kept.who, kept.correction) for kept in kept_predictions(folder)]


def test_a_file_is_read_as_text_where_truths_are_classes(served, tmp_path):
    folder, names = served
    table = tmp_path / "truths.csv"
    table.write_text(f"id,label,who\n007,1,anna\n{names[1]},0,\no-9,1,\n,1,\no-2,,\no-2,7,\n")
    found = tell_truths(folder, table, who="a table")
    assert found.rows == 6
    assert found.counts == {"empty": 2, "invalid": 1, "joined": 2, "unknown": 1}
    assert found.examples == {"unknown": ["o-9"], "invalid": ["o-2"]}
    assert truths(folder) == [
        ("1", "anna", False),
        ("0", "a table", False),
        (None, None, False),
    ]
    assert tell_truths(folder, table, who="a table").counts["repeated"] == 2


def test_a_frame_may_name_its_columns_and_say_who_corrected(served):
    folder, _ = served
    table = pl.DataFrame({"order": ["o-1", "o-2"], "is_fraud": [1, 0], "correction": ["yes", None]})
    found = tell_truths(folder, table, id_column="order", truth_column="is_fraud")
    assert found.counts == {"joined": 2}
    assert truths(folder)[1:] == [("1", None, True), ("0", None, False)]


def test_truths_by_id_are_a_table_too(served):
    folder, names = served
    assert tell_truths(folder, {names[0]: 1, "o-2": "0"}).counts == {"joined": 2}
    assert [truth for truth, _, _ in truths(folder)] == ["1", None, "0"]


def test_mistakes_are_told(served, tmp_path):
    folder, _ = served
    with pytest.raises(DataError, match="expected columns prediction_id or id and label, found a"):
        tell_truths(folder, pl.DataFrame({"a": [1]}))
    with pytest.raises(DataError, match="expected columns order and label, found id, label"):
        tell_truths(folder, pl.DataFrame({"id": ["a"], "label": ["0"]}), id_column="order")
    with pytest.raises(UsageError, match="no predictions were kept here"):
        tell_truths(tmp_path, {"a": 1})
