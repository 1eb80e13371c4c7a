from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.label.codes import BadVoteError, VoteCodes
from gristmill.label.functions.columns import (
    RowVoter,
    around_failures,
    batch_column,
    bound,
    said,
)
from gristmill.label.functions.function import LabelingFunction, labeling_function
from gristmill.label.functions.preprocess import preprocessor

CODES = VoteCodes(["ham", "spam"])
FRAME = pl.DataFrame({"row_id": ["a", "b", "c"], "n": [1, 0, 2]})


def voter(function: LabelingFunction, policy: str = "raise") -> RowVoter:
    return RowVoter({7: function}, {7: policy}, CODES)  # type: ignore[dict-item]


@labeling_function
def inverse(row):  # type: ignore[no-untyped-def]
    return 1 if 1 / row.n > 0.7 else None


def test_a_function_that_raises_stops_with_its_name_row_and_value() -> None:
    with pytest.raises(LabelError) as caught:
        voter(inverse)((FRAME, (7,)))
    assert str(caught.value) == (
        "labelling function 'inverse', row 'b': raised ZeroDivisionError: division by zero "
        "on {'row_id': 'b', 'n': 0}\n"
        "  fix: handle that case in the function, or say on_error='abstain' to count it and go on"
    )


def test_or_abstains_and_is_counted() -> None:
    (column,) = voter(inverse, "abstain")((FRAME, (7,)))
    assert column.codes.tolist() == [1, -1, -1]
    assert column.failures == [(1, "ZeroDivisionError: division by zero")]


def test_a_vote_outside_the_classes_stops_under_either_policy() -> None:
    wild = labeling_function(name="wild")(lambda row: row.n)
    with pytest.raises(LabelError, match="labelling function 'wild', row 'c': voted 2; expected"):
        voter(wild, "abstain")((FRAME, (7,)))
    unhashable = labeling_function(name="wild")(lambda row: [1])
    with pytest.raises(LabelError, match=r"row 'a': voted \[1\]; expected one of the classes"):
        voter(unhashable, "abstain")((FRAME, (7,)))


def test_functions_cannot_disturb_one_another() -> None:
    shared = preprocessor(lambda row: {"words": ["win"]})

    def greedy(row):  # type: ignore[no-untyped-def]
        row.words.clear()

    first = labeling_function(name="greedy", pre=[shared])(greedy)
    second = labeling_function(name="calm", pre=[shared])(lambda row: len(row.words))
    both = RowVoter({0: first, 1: second}, {0: "abstain", 1: "raise"}, CODES)
    assert [column.codes.tolist() for column in both((FRAME, (0, 1)))] == [[-1] * 3, [1] * 3]


def test_a_preprocessor_that_cannot_be_used_stops_under_either_policy() -> None:
    wrong = preprocessor(lambda row: None)
    function = labeling_function(name="f", pre=[wrong])(lambda row: 1)
    with pytest.raises(LabelError, match="must return a mapping"):
        voter(function, "abstain")((FRAME, (7,)))


@pytest.mark.parametrize(
    "answer", [[1, None, "ham"], pl.Series([1, None, 0]), np.array([1, -1, 0]), (1.0, None, 0)]
)
def test_a_batch_may_answer_in_many_forms(answer: object) -> None:
    function = labeling_function(name="b", kind="batch")(lambda frame: answer)
    assert batch_column(function, "raise", FRAME, CODES).codes.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1], "labelling function 'b': expected 3 votes, one for each row of the batch, found 1"),
        (None, "one for each row of the batch, found NoneType"),
        ("ham", "one for each row of the batch, found 3 votes"),
        ([1, 5, 1], "labelling function 'b', row 'b': voted 5; expected"),
        (pl.Series([1, 1, 5]), "labelling function 'b', row 'c': voted 5; expected"),
    ],
)
def test_a_batch_that_answers_wrongly(answer: object, message: str) -> None:
    function = labeling_function(name="b", kind="batch")(lambda frame: answer)
    for policy in ("raise", "abstain"):
        with pytest.raises(LabelError, match=message):
            batch_column(function, policy, FRAME, CODES)  # type: ignore[arg-type]


def test_a_batch_that_raises() -> None:
    def picky(frame: pl.DataFrame) -> list[int]:
        return [int(1 / n) for n in frame["n"]]

    function = labeling_function(name="picky", kind="batch")(picky)
    with pytest.raises(LabelError, match="function 'picky', row 'a to c': raised ZeroDivisionErr"):
        batch_column(function, "raise", FRAME, CODES)
    column = batch_column(function, "abstain", FRAME, CODES)
    assert column.codes.tolist() == [1, -1, 0]
    assert [position for position, _ in column.failures] == [1]


@given(st.lists(st.sampled_from([0, 1, -1, None]), min_size=1, max_size=40))
def test_only_the_rows_to_blame_fail(cells: list[int | None]) -> None:
    """None makes the batch fail; the slow way asks about each row alone."""

    def evaluate(part: pl.DataFrame) -> np.ndarray:
        if part["n"].null_count():
            raise RuntimeError("empty cell")
        return part["n"].to_numpy().astype(np.int8)

    column = around_failures(evaluate, pl.DataFrame({"n": cells}, schema={"n": pl.Int64}))
    assert column.codes.tolist() == [-1 if cell is None else cell for cell in cells]
    blamed = [position for position, _ in column.failures]
    assert blamed == [position for position, cell in enumerate(cells) if cell is None]


def test_isolating_gives_up_on_a_function_that_always_fails() -> None:
    calls = []

    def evaluate(part: pl.DataFrame) -> np.ndarray:
        calls.append(part.height)
        raise RuntimeError("no model")

    column = around_failures(evaluate, pl.DataFrame({"n": range(10_000)}))
    assert len(column.failures) == 10_000
    assert len(calls) < 1000


def test_a_bad_vote_in_a_later_part_has_its_place_in_the_whole() -> None:
    def evaluate(part: pl.DataFrame) -> np.ndarray:
        if part.height > 1:
            raise RuntimeError("one at a time")
        return CODES.encode_series(part["n"])

    with pytest.raises(BadVoteError) as caught:
        around_failures(evaluate, pl.DataFrame({"n": [0, 1, 9]}))
    assert (caught.value.position, caught.value.value) == (2, 9)


def test_long_exceptions_are_cut_to_one_short_line() -> None:
    assert said(ValueError("x\ny")) == "ValueError: x"
    assert said(KeyError()) == "KeyError"
    assert len(said(ValueError("x" * 1000))) == 200


def test_leaving_the_program_is_a_failure_of_the_row() -> None:
    @labeling_function
    def leaves(row):  # type: ignore[no-untyped-def]
        raise SystemExit(0) if row.n == 0 else ValueError

    with pytest.raises(LabelError, match="row 'b': raised SystemExit: 0"):
        voter(leaves)((FRAME[1:], (7,)))
    (column,) = voter(leaves, "abstain")((FRAME, (7,)))
    assert [message for _, message in column.failures] == [
        "ValueError",
        "SystemExit: 0",
        "ValueError",
    ]


def plain(row: Any, word: Any, times: int = 2) -> object:
    return (row, word, times)


def keyword_only(row: Any = None, /, limit: int = 7, *, word: str, deep: bool = False) -> object:
    return (row, limit, word, deep)


def open_ended(row: Any, **words: object) -> object:
    return (row, words)


def out_of_reach(row: Any, word: str, /) -> object:
    return (row, word)


class Callable_:  # noqa: N801
    def __call__(self, row: Any, word: str) -> object:
        return (row, word)


@pytest.mark.parametrize(
    "function", [plain, keyword_only, open_ended, out_of_reach, Callable_(), lambda row: row]
)
@given(
    resources=st.dictionaries(
        st.sampled_from(["word", "times", "limit", "deep", "row", "other"]),
        st.integers(),
        max_size=3,
    )
)
def test_bound_resources_are_those_of_a_partial(
    function: Callable[..., object], resources: dict[str, object]
) -> None:
    def outcome(call: Callable[[Any], object]) -> object:
        try:
            return call("row")
        except TypeError:
            return TypeError

    assert outcome(bound(function, resources)) == outcome(partial(function, **resources))


def test_resources_are_bound_to_a_copy() -> None:
    assert bound(plain, {"word": "w"})("r") == ("r", "w", 2)  # type: ignore[arg-type]
    assert plain.__defaults__ == (2,)
    assert bound(plain, {}) is plain


def test_blocks_of_rows_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gristmill.label.functions.columns._BLOCK_ROWS", 2)
    frame = pl.DataFrame({"row_id": range(5), "n": [1, 0, 1, 1, 0]})
    (column,) = voter(inverse, "abstain")((frame, (7,)))
    assert column.codes.tolist() == [1, -1, 1, 1, -1]
    assert [place for place, _ in column.failures] == [1, 4]
    with pytest.raises(LabelError, match="row 3: voted 9; expected"):
        voter(labeling_function(name="f")(lambda row: 9 * (row.row_id == 3)))((frame, (7,)))
    (nothing,) = voter(inverse)((frame.clear(), (7,)))
    assert nothing.codes.shape == (0,)


@given(st.lists(st.sampled_from([0, 1, -1, None, "ham", "spam", 1.0, True, 2, "x"]), max_size=9))
def test_columns_are_encoded_as_votes_one_by_one(answers: list[object]) -> None:
    def slowly() -> object:
        codes = []
        for place, answer in enumerate(answers):
            try:
                codes.append(CODES.encode(answer))
            except ValueError:
                return place, repr(answer)
        return codes

    try:
        found: object = CODES.encode_all(answers).tolist()
    except BadVoteError as bad:
        found = bad.position, repr(bad.value)
    assert found == slowly()


def test_a_missing_column_is_told_with_those_there_are() -> None:
    lost = labeling_function(name="lost")(lambda row: row.m)
    with pytest.raises(
        LabelError, match="AttributeError: the row has no column 'm'; it has row_id"
    ):
        voter(lost)((FRAME, (7,)))
