"""Behaviours that people who come from Snorkel rely on, under our names.

Its votes, states and errors for five rows and a few functions; where we differ on purpose, the test
says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pandas as pd
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.functions.application import apply
from gristmill.label.functions.function import labeling_function
from gristmill.label.functions.preprocess import preprocessor

NUMBERS = [3, 43, 12, 9, 3]
FRAME = pl.DataFrame({"num": NUMBERS})


@labeling_function
def f(row):  # type: ignore[no-untyped-def]
    return 0 if row.num > 42 else -1


@labeling_function(resources={"db": [3, 6, 9]})
def g(row, db):  # type: ignore[no-untyped-def]
    return 0 if row.num in db else -1


@labeling_function
def bad(row):  # type: ignore[no-untyped-def]
    return 0 if row.mum > 42 else -1


@pytest.mark.parametrize(
    "table",
    [FRAME, FRAME.lazy(), FRAME.to_arrow(), FRAME.to_pandas()],
    ids=lambda t: type(t).__name__,
)
def test_the_votes_of_two_functions_on_any_table(table: Any) -> None:
    votes = apply([f, g], table, classes=2)
    assert votes.matrix.tolist() == [[-1, 0], [0, -1], [-1, -1], [-1, 0], [-1, 0]]
    assert votes.failed() == {}


@pytest.mark.parametrize("engine", [None, "inline"])
def test_rows_keep_their_order_whatever_the_index(engine: str | None) -> None:
    """Snorkel's parallel applier returns them in the order of the sorted index."""
    shuffled = pd.DataFrame({"num": NUMBERS}, index=[4, 0, 3, 1, 2])
    votes = apply([f], shuffled, classes=2, engine=engine, partition_rows=2)
    assert votes.matrix[:, 0].tolist() == [-1, 0, -1, -1, -1]


def test_a_function_with_a_preprocessor() -> None:
    @preprocessor
    def square(row):  # type: ignore[no-untyped-def]
        return {"num_squared": row.num**2}

    @labeling_function(pre=[square])
    def fp(row):  # type: ignore[no-untyped-def]
        return 0 if row.num_squared > 42 else -1

    votes = apply([f, fp], FRAME, classes=2)
    assert votes.matrix.tolist() == [[-1, -1], [0, 0], [-1, 0], [-1, 0], [-1, -1]]


@pytest.mark.parametrize("sharers", [1, 3])
def test_a_preprocessor_runs_once_for_each_row(sharers: int) -> None:
    """Snorkel's memo is by value, and runs 4 times for these 5 rows; ours asks each row once."""
    calls: list[int] = []

    @preprocessor
    def square(row):  # type: ignore[no-untyped-def]
        calls.append(row.num)
        return {"num_squared": row.num**2}

    functions = [
        labeling_function(name=f"f{each}", pre=[square])(lambda row: int(row.num_squared > 42))
        for each in range(sharers)
    ]
    apply(functions, FRAME, classes=2)
    assert calls == NUMBERS


def test_a_function_that_raises_stops_or_is_counted() -> None:
    with pytest.raises(LabelError, match="'bad', row 0: raised AttributeError"):
        apply([bad, f], FRAME, classes=2)
    votes = apply([bad, f], FRAME, classes=2, on_error="abstain")
    assert votes.matrix.tolist() == [[-1, -1], [-1, 0], [-1, -1], [-1, -1], [-1, -1]]
    assert votes.failed() == {"bad": 5}


def test_a_function_that_always_abstains() -> None:
    silent = labeling_function(name="silent")(lambda row: -1)
    votes = apply([silent], FRAME, classes=2)
    assert votes.matrix.tolist() == [[-1]] * 5
    assert votes.state(0, "silent") == "abstained"


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(LabelError, match="two labelling functions are called 'f'"):
        apply([f, f], FRAME, classes=2)


def test_no_rows_keep_the_shape() -> None:
    assert apply([f, g], FRAME.clear(), classes=2).matrix.shape == (0, 2)


@pytest.mark.parametrize("vote", [True, 1.7, "eggs", -2])
def test_votes_that_snorkel_bends_are_refused(vote: object) -> None:
    """True would become 1, 1.7 become 1, and -2 become -1."""
    bent = labeling_function(name="bent")(lambda row: vote)
    with pytest.raises(LabelError, match="function 'bent', row 0: voted"):
        apply([bent], FRAME, classes=2)


def test_a_preprocessor_does_not_change_its_input() -> None:
    @preprocessor
    def greedy(row):  # type: ignore[no-untyped-def]
        row.d["my_key"] = 0
        return {}

    @preprocessor
    def polite(row):  # type: ignore[no-untyped-def]
        return {"d": {**row.d, "my_key": 0}}

    frame = pl.DataFrame({"d": [{"my_key": 1}]})
    seen: list[object] = []
    for pre in ([], [polite]):
        labeling = labeling_function(name="f", pre=pre)(lambda row: seen.append(dict(row.d)))
        apply([labeling], frame, classes=2)
    assert seen == [{"my_key": 1}, {"my_key": 0}]
    with pytest.raises(
        LabelError, match="raised TypeError: 'mappingproxy' object does not support"
    ):
        apply([labeling_function(name="f", pre=[greedy])(lambda row: 0)], frame, classes=2)


def test_one_function_cannot_change_what_the_next_one_sees() -> None:
    """With Snorkel's memo, all functions are handed one object that can be changed."""
    parsed = preprocessor(lambda row: {"facts": {"words": ["win"]}})

    def rude(row):  # type: ignore[no-untyped-def]
        row.facts["words"] = []

    first = labeling_function(name="rude", pre=[parsed], on_error="abstain")(rude)
    second = labeling_function(name="calm", pre=[parsed])(
        lambda row: int(isinstance(row.facts, MappingProxyType) and row.facts["words"] == ("win",))
    )
    votes = apply([first, second], FRAME, classes=2)
    assert votes.failed() == {"rude": 5}
    assert votes.matrix[:, 1].tolist() == [1] * 5


def test_a_preprocessor_that_returns_nothing_is_refused() -> None:
    nothing = preprocessor(lambda row: None)
    with pytest.raises(LabelError, match="must return a mapping, found NoneType"):
        apply([labeling_function(name="f", pre=[nothing])(lambda row: 0)], FRAME, classes=2)


def test_chained_preprocessors_run_once_each_also_where_fields_hold_nan() -> None:
    """3 -> 9 -> 18 -> 19; a NaN never hits Snorkel's memo."""
    calls: list[str] = []

    def step(name: str, value: Any, *pre: Any) -> Any:
        def run(row: Any) -> dict[str, object]:
            calls.append(name)
            return {name: value(row)}

        return preprocessor(run, pre=pre)  # type: ignore[call-overload]

    squared = step("squared", lambda row: row.num**2)
    doubled = step("doubled", lambda row: 2 * row.squared, squared)
    added = step("added", lambda row: row.doubled + 1, doubled)
    found: list[object] = []
    functions = [
        labeling_function(name=name, pre=[pre])(lambda row, name=name: found.append(row[name]))
        for name, pre in (("added", added), ("doubled", doubled), ("squared", squared))
    ]
    frame = pl.DataFrame({"num": [3], "price": [float("nan")]})
    apply(functions, frame, classes=2)
    assert found == [19, 18, 9]
    assert calls == ["squared", "doubled", "added"]


class Client:
    """A model behind a callable, that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, numbers: list[int]) -> Iterator[int]:
        self.asked += numbers
        return (number % 2 for number in numbers)


def test_a_model_behind_a_callable_is_asked_once(tmp_path: Any) -> None:
    from gristmill.label.functions.vote_cache import VoteCache

    client, cache = Client(), VoteCache(tmp_path)

    def make(version: str | None) -> Any:
        decorate = labeling_function(
            name="model", kind="batch", resources={"client": client}, version=version
        )
        return decorate(lambda frame, client: list(client(frame["num"].to_list())))

    for _ in range(2):
        votes = apply([make("1"), f], FRAME, classes=2, cache=cache)
    apply([make("1"), g], FRAME, classes=2, cache=cache)  # another function changed
    assert votes.matrix[:, 0].tolist() == [1, 1, 0, 1, 1]
    assert client.asked == NUMBERS
    apply([make("2")], FRAME, classes=2, cache=cache)
    assert client.asked == NUMBERS * 2


def test_a_model_without_a_version_has_no_fingerprint() -> None:
    model = labeling_function(name="m", kind="batch", resources={"model": object()})(
        lambda frame, model: [0] * frame.height
    )
    with pytest.raises(LabelError, match="resource 'model' is a object, which has no fingerprint"):
        apply([model], FRAME, classes=2)
