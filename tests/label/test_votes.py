from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gristmill.core.errors import LabelError
from gristmill.label.analysis.summary import analyze
from gristmill.label.functions.application import apply
from gristmill.label.functions.function import labeling_function
from gristmill.label.models.dawid_skene import DawidSkene
from gristmill.label.models.label_model import LabelModel
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes, stack


@pytest.fixture
def votes() -> Votes:
    functions = [
        labeling_function(name="even")(lambda row: "spam" if row.n % 2 == 0 else None),
        labeling_function(name="broken", on_error="abstain")(lambda row: 0 if 1 / row.n else 1),
    ]
    frame = pl.DataFrame({"row_id": ["a", "b", "c"], "n": [0, 1, 2]})
    return apply(functions, frame, classes=["ham", "spam"])


def test_shape_and_table(votes: Votes) -> None:
    assert repr(votes) == "Votes(3 rows, 2 sources, 2 classes)"
    assert votes.table.to_dict(as_series=False) == {
        "row_id": ["a", "b", "c"],
        "even": [1, -1, 1],
        "broken": [-1, 0, 0],
    }
    assert votes.table.schema["even"] == pl.Int8
    assert votes.covered.tolist() == [True, True, True]


def test_the_matrix_cannot_be_changed(votes: Votes) -> None:
    with pytest.raises(ValueError, match="read-only"):
        votes.matrix[0, 0] = 0


def test_states_are_kept_apart(votes: Votes) -> None:
    states = [[votes.state(row, name) for name in votes.names] for row in ("a", "b", "c")]
    assert states == [["voted", "failed"], ["abstained", "voted"], ["voted", "voted"]]


def test_unknown_rows_and_sources(votes: Votes) -> None:
    with pytest.raises(LabelError, match=r"^no row with id 'z' among 3 rows$"):
        votes.state("z", "even")
    with pytest.raises(LabelError, match=r"^no row with id 0 among 3 rows$"):
        votes.position(0)
    with pytest.raises(LabelError, match=r"^no source 'odd'; there are even, broken$"):
        votes.state("a", "odd")


def test_saving_and_loading(votes: Votes, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        votes.with_notes(["x"] if folder is first else []).save(folder)
    assert Votes.load(first) == votes
    assert Votes.load(first).table.equals(votes.table)
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()


def test_loading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="these are no stored votes"):
        Votes.load(tmp_path)


def test_the_description(votes: Votes) -> None:
    told = votes.describe()
    assert (told["rows"], told["coverage"], told["classes"]) == (3, 1.0, ["ham", "spam"])
    assert told["sources"] == [
        {"name": "even", "fingerprint": votes.fingerprints[0], "coverage": 2 / 3, "failed": 0},
        {"name": "broken", "fingerprint": votes.fingerprints[1], "coverage": 2 / 3, "failed": 1},
    ]


def test_equality_is_of_everything_but_the_notes(votes: Votes) -> None:
    assert votes.with_notes(["said"]) == votes
    assert hash(votes.with_notes(["said"])) == hash(votes)
    assert Votes.from_matrix([[0]], names=["a"]) != Votes.from_matrix([[0]], names=["b"])
    assert Votes.from_matrix([[0]]) != Votes.from_matrix([[1]])
    assert votes != "votes"


def test_plain_matrices() -> None:
    made = Votes.from_matrix(np.array([[0, -1], [2, 1]]), names=["x", "y"], row_ids=[7, 9])
    assert made.classes == ("0", "1", "2")
    assert made.matrix.dtype == np.int8
    assert made.row_ids.to_list() == [7, 9]
    assert Votes.from_matrix([[0]]).classes == ("0", "1")
    assert Votes.from_matrix([[0, 0]]).names == ("source_0", "source_1")
    assert Votes.from_matrix(np.empty((0, 3), int), classes=2).matrix.shape == (0, 3)
    assert Votes.from_matrix([[299]], classes=300).matrix.dtype == np.int16


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        ([0, 1], {}, r"^expected votes of shape \[rows, sources\], found \(2,\)$"),
        (np.empty((3, 0), int), {}, r"found \(3, 0\)"),
        ([[0, 0.5]], {}, "^row 0, source 1: expected integer votes, found 0.5\n"),
        ([[float("nan")]], {}, "found nan\n  fix: use -1 to abstain, not NaN"),
        ([[True]], {}, "^expected integer votes, found bool\n"),
        ([["ham"]], {}, "^expected integer votes, found <U3\n"),
        ([[0, 3]], {"classes": 2}, "^row 0, source 1: found vote 3; expected -1 to abstain or a"),
        ([[0], [-2]], {}, "^row 1, source 0: found vote -2"),
        ([[0]], {"classes": 1}, "expected at least two classes"),
        ([[0]], {"names": ["a", "b"]}, "^expected 1 names of sources, found 2$"),
        ([[0, 1]], {"names": ["a", "a"]}, "two labelling functions are called 'a'"),
        ([[0]], {"row_ids": [1, 2]}, "^expected 1 row ids, found 2$"),
    ],
)
def test_matrices_that_cannot_be_used(
    matrix: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        Votes.from_matrix(matrix, **options)  # type: ignore[arg-type]


def test_stacking_marks_what_did_not_run() -> None:
    old = Votes.from_matrix([[0], [1]], names=["a"], row_ids=[0, 1])
    new = Votes.from_matrix([[1, -1]], names=["b", "a"], row_ids=[2])
    both = stack([old, new])
    assert both.names == ("a", "b")
    assert both.matrix.tolist() == [[0, -1], [1, -1], [-1, 1]]
    assert [both.state(row, "b") for row in (0, 1, 2)] == ["not run", "not run", "voted"]
    assert both.state(2, "a") == "abstained"
    assert both.failed() == {}


def test_stacking_keeps_failures_in_place(votes: Votes) -> None:
    first = Votes.from_matrix([[1]], classes=["ham", "spam"], names=["new"], row_ids=["z"])
    both = stack([first, votes])
    assert both.state("a", "broken") == "failed"
    assert both.state("z", "broken") == "not run"
    assert both.failed() == {"broken": 1}


def test_parts_that_do_not_stack() -> None:
    part = Votes.from_matrix([[0]])
    with pytest.raises(LabelError, match=r"^expected votes on the same classes\n"):
        stack([part, Votes.from_matrix([[0]], classes=3)])
    with pytest.raises(Exception, match="has value 0 more than once"):
        stack([part, part])


@given(
    arrays(np.int8, st.tuples(st.integers(0, 9), st.integers(1, 4)), elements=st.integers(-1, 3))
)
def test_matrices_go_out_and_come_back(matrix: np.ndarray) -> None:
    votes = Votes.from_matrix(matrix, classes=4)
    assert votes.to_numpy().dtype == np.int64
    assert Votes.from_matrix(votes.to_numpy(), classes=4) == votes
    assert Votes.from_matrix(matrix.astype(float), classes=4) == votes
    rows, sources, said = votes.to_sparse()
    assert len(said) == (matrix >= 0).sum()
    again = Votes.from_sparse(
        rows[::-1], sources[::-1], said[::-1], shape=matrix.shape, classes=4, names=votes.names
    )
    assert again == votes


def test_the_copy_may_be_changed() -> None:
    votes = Votes.from_matrix([[0, -1]])
    votes.to_numpy()[0, 0] = 1
    assert votes.matrix.tolist() == [[0, -1]]


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        (([0], [0, 1], [1]), r"of one length, found shapes \(1,\), \(2,\), \(1,\)$"),
        (([2], [0], [1]), "^vote 0: expected row positions 0 to 1, found 2$"),
        (([0, 0], [0, 3], [1, 1]), "^vote 1: expected source positions 0 to 2, found 3$"),
        (([0, 1], [0, 1], [1, 7]), "^vote 1: found vote 7; expected -1 to abstain or a class"),
        (([0, 1, 0], [2, 0, 2], [1, 1, 0]), "^source 2 votes twice on row 0$"),
        (([0], [0], [0.5]), "^vote 0: expected integer votes, found 0.5\n"),
    ],
)
def test_sparse_votes_that_cannot_be_used(triples: tuple[object, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        Votes.from_sparse(*triples, shape=(2, 3), classes=2)  # type: ignore[arg-type]


def test_one_parquet_file(votes: Votes, tmp_path: Path) -> None:
    path = votes.to_parquet(tmp_path / "votes.parquet")
    again = Votes.from_parquet(path, classes=votes.classes)
    assert again.table.equals(votes.table)
    assert again.classes == votes.classes
    assert again.failed() == {}  # which `save` would have kept
    assert Votes.from_parquet(path).classes == ("0", "1")


def test_votes_by_name_from_a_file(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": ["spam", None], "b": [1, None], "c": [None, -1.0]})
    table.write_parquet(tmp_path / "v.parquet")
    read = Votes.from_parquet(tmp_path / "v.parquet", classes=["ham", "spam"])
    assert read.matrix.tolist() == [[1, 1, -1], [-1, -1, -1]]
    with pytest.raises(LabelError, match="labelling function 'a', row 0: voted 'spam'; expected"):
        Votes.from_parquet(tmp_path / "v.parquet")


def test_sparse_votes_are_small_on_disk(tmp_path: Path) -> None:
    """Where one vote in twenty is given, a column of codes takes less than a row of a triple."""
    rng = np.random.default_rng(0)
    matrix = np.where(rng.random((20_000, 10)) < 0.05, rng.integers(0, 2, (20_000, 10)), -1)
    Votes.from_matrix(matrix).to_parquet(tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").stat().st_size < 7 * (matrix >= 0).sum()


@pytest.mark.parametrize("ids", [[1, 2, float("nan")], [1, 2, "x"]])
def test_row_ids_of_two_kinds(ids: list[Any]) -> None:
    with pytest.raises(LabelError, match=r"^expected row ids that are all whole numbers or all te"):
        Votes.from_matrix([[0], [1], [1]], row_ids=ids)


def test_rows_of_two_lengths_and_no_tables() -> None:
    with pytest.raises(LabelError, match=r"^expected rows of votes of one length"):
        Votes.from_matrix([[0, 1], [1]])
    with pytest.raises(LabelError, match=r"^expected the votes of one table or more, found none$"):
        stack([])


def test_a_matrix_is_no_votes() -> None:
    for ask in (LabelModel(2).fit, MajorityVote(2).predict, DawidSkene(2).fit, analyze):
        with pytest.raises(LabelError, match=r"^expected votes, found ndarray\n.*from_matrix"):
            ask(np.zeros((2, 2), int))  # type: ignore[operator]


def test_folders_may_be_texts(tmp_path: Path) -> None:
    votes = Votes.from_matrix([[0, 1], [1, 1]])
    model = LabelModel(2).fit(votes)
    labels = model.predict(votes)
    for stored in (votes, model, labels):
        folder = tmp_path / type(stored).__name__
        folder.mkdir()
        stored.save(str(folder))
        again = type(stored).load(str(folder))
        assert again.__fingerprint__() == stored.__fingerprint__()
