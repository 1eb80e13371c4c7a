from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.core.progress import reporting
from gristmill.engine.inline import Inline
from gristmill.engine.outcome import Outcome
from gristmill.label.functions.application import apply
from gristmill.label.functions.expressions import keywords, where
from gristmill.label.functions.function import LabelingFunction, labeling_function
from gristmill.label.functions.preprocess import preprocessor
from gristmill.label.functions.vote_cache import VoteCache

CLASSES = ["ham", "spam"]
NUMBERS = pl.DataFrame({"num": [3, 43, 12, 9, 3]})


@labeling_function
def over_42(row):  # type: ignore[no-untyped-def]
    return 0 if row.num > 42 else -1


@labeling_function(resources={"known": [3, 6, 9]})
def is_known(row, known):  # type: ignore[no-untyped-def]
    return 0 if row.num in known else None


@preprocessor
def square(row):  # type: ignore[no-untyped-def]
    return {"squared": row.num**2}


@labeling_function(pre=[square])
def square_over_42(row):  # type: ignore[no-untyped-def]
    return 0 if row.squared > 42 else -1


def test_functions_of_rows_with_resources_and_preprocessors() -> None:
    votes = apply([over_42, is_known], NUMBERS, classes=2)
    assert votes.matrix.tolist() == [[-1, 0], [0, -1], [-1, -1], [-1, 0], [-1, 0]]
    votes = apply([over_42, square_over_42], NUMBERS, classes=2)
    assert votes.matrix.tolist() == [[-1, -1], [0, 0], [-1, 0], [-1, 0], [-1, -1]]
    assert votes.names == ("over_42", "square_over_42")


def test_any_table_will_do(tmp_path: Path) -> None:
    import pandas as pd

    wanted = apply([over_42, is_known], NUMBERS, classes=2)
    NUMBERS.write_csv(tmp_path / "n.csv")
    shuffled_index = pd.DataFrame({"num": NUMBERS["num"].to_list()}, index=[4, 2, 0, 1, 3])
    for table in (NUMBERS.lazy(), shuffled_index, tmp_path / "n.csv", str(tmp_path / "n.csv")):
        assert apply([over_42, is_known], table, classes=2) == wanted


def test_rows_keep_their_order_and_ids() -> None:
    frame = NUMBERS.with_columns(pl.Series("row_id", ["z", "b", "y", "a", "m"]))
    votes = apply([over_42], frame, classes=2, partition_rows=2)
    assert votes.row_ids.to_list() == ["z", "b", "y", "a", "m"]
    assert votes.matrix[:, 0].tolist() == [-1, 0, -1, -1, -1]


def test_no_rows_give_an_empty_matrix() -> None:
    mixed = [over_42, where("w", lambda: pl.col("num") > 1, 1)]
    votes = apply(mixed, NUMBERS.clear(), classes=2)
    assert votes.matrix.shape == (0, 2)
    assert votes.coverage == 0.0


def test_a_function_that_fails_is_counted_and_sampled() -> None:
    broken = labeling_function(name="broken", on_error="abstain")(lambda row: row.nope)
    many = pl.DataFrame({"num": range(8)})
    votes = apply([over_42, broken], many, classes=2, partition_rows=3)
    assert votes.matrix[:, 1].tolist() == [-1] * 8
    assert votes.failed() == {"broken": 8}
    messages = votes.silent["message"].to_list()
    assert messages[0] == "AttributeError: the row has no column 'nope'; it has row_id, num"
    assert [message is None for message in messages] == [False] * 5 + [True] * 3
    assert (votes.state(0, "over_42"), votes.state(0, "broken")) == ("abstained", "failed")


def test_the_policy_of_the_call_goes_before_that_of_the_function() -> None:
    broken = labeling_function(name="broken", on_error="abstain")(lambda row: row.nope)
    with pytest.raises(LabelError, match="labelling function 'broken', row 0: raised Attribute"):
        apply([broken], NUMBERS, classes=2, on_error="raise")
    strict = labeling_function(name="broken")(lambda row: row.nope)
    assert apply([strict], NUMBERS, classes=2, on_error="abstain").failed() == {"broken": 5}


@pytest.mark.parametrize(
    ("functions", "options", "message"),
    [
        ([], {}, "^no labelling functions\n"),
        ([over_42, over_42], {}, "^two labelling functions are called 'over_42'\n"),
        ([len], {}, "^expected labelling functions, found builtin_function_or_method"),
        ([over_42], {"on_error": "skip"}, "expected on_error 'raise' or 'abstain', found 'skip'"),
        ([over_42], {"partition_rows": 0}, "expected at least 1 row per partition, found 0"),
        ([over_42], {"classes": ["ham"]}, "expected at least two classes, found 1"),
        (
            [keywords("row_id", ["a"], 1)],
            {},
            "a labelling function cannot be called 'row_id'",
        ),
    ],
)
def test_calls_that_are_wrong(functions: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        apply(functions, NUMBERS, **{"classes": CLASSES, **options})


def test_expressions_over_the_whole_table_do_not_see_partitions() -> None:
    above = where("above", lambda: pl.col("num") > pl.col("num").mean(), 1)
    whole = apply([above], NUMBERS, classes=2)
    assert whole.matrix[:, 0].tolist() == [-1, 1, -1, -1, -1]
    assert apply([above], NUMBERS, classes=2, partition_rows=2) == whole


def of_each_kind() -> list[LabelingFunction]:
    return [
        labeling_function(name="row")(lambda row: "spam" if row.n % 3 == 0 else None),
        labeling_function(name="batch", kind="batch")(
            lambda frame: [int(n > 5) for n in frame["n"]]
        ),
        where("expression", lambda: pl.col("n") % 2 == 0, "ham"),
        where("whole", lambda: pl.col("n") >= pl.col("n").max(), "spam"),
    ]


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 13))
def test_kinds_and_partitions_agree_with_asking_row_by_row(numbers: list[int], size: int) -> None:
    frame = pl.DataFrame({"n": numbers}, schema={"n": pl.Int64})
    votes = apply(of_each_kind(), frame, classes=CLASSES, partition_rows=size)
    assert votes.matrix.tolist() == [
        [
            1 if n % 3 == 0 else -1,
            int(n > 5),
            0 if n % 2 == 0 else -1,
            1 if n == max(numbers) else -1,
        ]
        for n in numbers
    ]


class Backwards(Inline):
    """An engine that does the last item first, as busy workers may."""

    def attempts(
        self, fn: Callable[[Any], Any], items: Iterable[Any], /
    ) -> Generator[Outcome[Any], None, None]:
        yield from [*super().attempts(fn, list(items)[::-1])][::-1]


def test_an_engine_changes_nothing() -> None:
    frame = pl.DataFrame({"n": range(20)})
    plain = apply(of_each_kind(), frame, classes=CLASSES)
    for engine in (Backwards(), "inline"):
        assert (
            apply(of_each_kind(), frame, classes=CLASSES, engine=engine, partition_rows=3) == plain
        )


def test_functions_run_in_local_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules_for_processes.py").write_text(
        "import os\n"
        "from gristmill.label import labeling_function, preprocessor\n"
        "@preprocessor\n"
        "def home(row):\n"
        "    return {'pid': os.getpid()}\n"
        "@labeling_function(pre=[home], resources={'mine': os.getpid()}, version='1')\n"
        "def elsewhere(row, mine):\n"
        "    return 1 if row.pid != PARENT else 0\n"
        "PARENT = int(os.environ['RULES_PARENT'])\n"
    )
    import os

    monkeypatch.setenv("RULES_PARENT", str(os.getpid()))
    monkeypatch.syspath_prepend(str(tmp_path))
    import rules_for_processes  # type: ignore[import-not-found]

    from gristmill.engine.local import LocalProcesses

    with LocalProcesses(1) as engine:
        votes = apply(
            [rules_for_processes.elsewhere], NUMBERS, classes=2, engine=engine, partition_rows=2
        )
    sys.modules.pop("rules_for_processes")
    assert votes.matrix[:, 0].tolist() == [1] * 5


class Sayings:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, title: str, total: int | None, unit: str) -> Sayings:
        return self

    def advance(self, amount: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def finish(self, task: object) -> None:
        pass

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_the_cache_recomputes_what_changed_and_says_so(tmp_path: Path) -> None:
    cache, asked = VoteCache(tmp_path), []

    def ask(limit: int = 3, rows: int = 10, classes: list[str] = CLASSES) -> tuple[str, list[int]]:
        def rule(row, limit, log):  # type: ignore[no-untyped-def]
            log.append(row.n)
            return 1 if row.n > limit else None

        noisy = labeling_function(
            name="rule", resources={"limit": limit, "log": asked}, version=str(limit)
        )(rule)
        functions, table = [noisy, *of_each_kind()], pl.DataFrame({"n": range(rows)})
        plain = apply(functions, table, classes=classes)
        asked.clear()
        votes = apply(functions, table, classes=classes, cache=cache, partition_rows=4)
        assert votes == plain
        return votes.notes[0], list(asked)

    everything = list(range(10))
    new = "5 of 5 columns computed: no votes are cached for this table"
    assert ask() == (new, everything)
    assert ask() == ("0 of 5 columns recomputed", [])
    assert ask(limit=4) == ("1 of 5 columns recomputed: rule (new or changed)", everything)
    assert ask(limit=3) == ("0 of 5 columns recomputed", [])
    assert ask(rows=13) == (
        "5 of 5 columns recomputed: rule (2 of 4 partitions are new), "
        "row (2 of 4 partitions are new), batch (2 of 4 partitions are new), "
        "expression (2 of 4 partitions are new), whole (new or changed)",
        [8, 9, 10, 11, 12],
    )
    assert ask(classes=["spam", "ham"]) == (new, everything)


def test_notes_are_said_described_and_no_part_of_the_votes(tmp_path: Path) -> None:
    sayings = Sayings()
    with reporting(sayings):
        votes = apply([over_42], NUMBERS, classes=2, cache=VoteCache(tmp_path))
    note = "1 of 1 columns computed: no votes are cached for this table"
    assert sayings.lines == [note]
    assert votes.describe()["notes"] == [note]
    assert votes == apply([over_42], NUMBERS, classes=2)


def test_columns_with_failures_are_tried_again(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    broken = labeling_function(name="broken", on_error="abstain")(lambda row: 1 // (row.num - 3))
    first = apply([broken, over_42], NUMBERS, classes=2, cache=cache, partition_rows=2)
    again = apply([broken, over_42], NUMBERS, classes=2, cache=cache, partition_rows=2)
    assert again == first
    assert again.failed() == {"broken": 2}
    assert again.notes == ("1 of 2 columns recomputed: broken (2 of 3 partitions are new)",)


def test_an_interrupted_application_goes_on_where_it_stopped(tmp_path: Path) -> None:
    asked: list[int] = []
    power = {"on": False}

    def rule(row, state, log):  # type: ignore[no-untyped-def]
        log.append(row.num)
        if row.num == 9 and not state["on"]:
            raise KeyboardInterrupt
        return 1

    function = labeling_function(name="f", resources={"state": power, "log": asked}, version="1")(
        rule
    )
    with pytest.raises(KeyboardInterrupt):
        apply([function], NUMBERS, classes=2, cache=VoteCache(tmp_path), partition_rows=1)
    asked.clear()
    power["on"] = True
    apply([function], NUMBERS, classes=2, cache=VoteCache(tmp_path), partition_rows=1)
    assert asked == [9, 3]


def test_inside_a_project_vote_columns_are_kept_in_its_cache(tmp_path: Path) -> None:
    from gristmill.store.project import Project, using

    frame = pl.DataFrame({"text": ["win a prize", "hello"]})
    prize, hello = keywords("prize", ["prize"], 1), keywords("hello", ["hello"], 0)
    with using(Project(tmp_path)):
        apply([prize, hello], frame, classes=2)
        again = apply([prize, keywords("hello", ["hi"], 0)], frame, classes=2)
    assert any("1 of 2 columns" in note and "hello" in note for note in again.notes)
    assert apply([prize, hello], frame, classes=2).notes != again.notes


def test_one_function_alone_or_a_folder_for_a_cache_is_refused() -> None:
    function = keywords("k", ["a"], 1)
    table = pl.DataFrame({"text": ["a"]})
    with pytest.raises(
        LabelError, match=r"^expected a list of labelling functions, found 'k' alone"
    ):
        apply(function, table, classes=2)
    with pytest.raises(LabelError, match=r"^expected a VoteCache, found str 'votes'"):
        apply([function], table, classes=2, cache="votes")
