from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.exchange.arrays import read_npz, write_npz
from gristmill.label.votes import Votes

MATRIX = np.array([[0, -1], [2, 1]])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    votes = Votes.from_matrix(MATRIX, classes=3)
    write_npz(tmp_path / "votes.npz", {"train": (votes, {1: 2}), "test": (votes, None)})
    back = read_npz(tmp_path / "votes.npz")
    assert list(back) == ["train", "test"]
    assert back["train"].votes.matrix.tolist() == MATRIX.tolist()
    assert (back["train"].gold, back["test"].gold) == ({1: 2}, {})


def test_classes_are_given_or_as_many_as_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "votes.npz"
    np.savez(path, L_train=MATRIX[:, 1:] * 1.0, Y_train=np.array([3, -1]), extra=np.array(["x"]))
    assert read_npz(path)["train"].votes.classes == ("0", "1", "2", "3")
    assert read_npz(path, classes=["a", "b", "c", "d"])["train"].votes.classes[3] == "d"
    with pytest.raises(LabelError, match=r"votes.npz, L_train: gold label 3 is none of|row 0"):
        read_npz(path, classes=2)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": MATRIX}, r"expected arrays called L_train or the like, found \[\]"),
        ({"L_train": MATRIX * 0.5}, "L_train: expected whole numbers, found float64"),
        ({"L_train": np.array([[np.nan]])}, "L_train: expected whole numbers, found float64"),
        ({"L_train": np.array([["a"]])}, "L_train: expected whole numbers, found <U1"),
        ({"L_train": MATRIX > 0}, "L_train: expected whole numbers, found bool"),
        (
            {"L_train": MATRIX[0]},
            r"L_train: expected votes of shape \[rows, sources\], found \(2,\)",
        ),
        ({"L_train": MATRIX - 1}, "L_train, row 0, source 1: found vote -2; expected -1"),
        ({"L_train": MATRIX, "Y_train": MATRIX}, r"expected 2 gold labels, found \[2, 2\]"),
        ({"L_train": np.array([[None]], object)}, "expected an .npz file of arrays of numbers"),
    ],
)
def test_what_is_no_label_matrix_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "votes.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=message):
        read_npz(tmp_path / "votes.npz")


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.npz"
    with pytest.raises(LabelError, match=r"this file cannot be read: .*No such file"):
        read_npz(path)
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(LabelError, match=r"expected an .npz file of arrays"):
        read_npz(path)
    with path.open("wb") as file:
        np.save(file, MATRIX)
    with pytest.raises(LabelError, match=r"expected an .npz file of arrays"):
        read_npz(path)
