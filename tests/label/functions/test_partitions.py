from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.processes import lives

from gristmill.core.errors import LabelError
from gristmill.engine.inline import Inline
from gristmill.engine.outcome import Outcome
from gristmill.label.functions.application import apply
from gristmill.label.functions.expressions import keywords, where
from gristmill.label.functions.function import LabelingFunction, labeling_function
from gristmill.label.functions.vote_cache import VoteCache

NUMBERS = pl.DataFrame({"n": range(10)})

_SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import polars as pl
from gristmill.label import VoteCache, apply, labeling_function, where

@labeling_function
def slow(row):
    with open("asked", "a") as log:
        log.write(f"{row.n} ")
    if os.environ.get("FALLS_AT") == str(row.n):
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("WAITS_AT") == str(row.n):
        Path("pid").write_text(str(os.getpid()))
        Path("pid").rename("waiting")
        time.sleep(600)
    return row.n % 2

if __name__ == "__main__":
    even = where("even", lambda: pl.col("n") % 2 == 0, 1)
    engine = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        votes = apply([slow, even], "t.parquet", classes=2, cache=VoteCache("votes"),
                      partition_rows=2, engine=engine)
    except KeyboardInterrupt:
        sys.exit("stopped")
    print(votes.matrix.tolist(), votes.notes[0])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    NUMBERS.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "rules.py").write_text(_SCRIPT)
    return tmp_path


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (script / "asked").unlink(missing_ok=True)
    return subprocess.run(
        [sys.executable, "rules.py"],
        cwd=script,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_killed_application_goes_on_at_the_partition_where_it_died(script: Path) -> None:
    died = run(script, FALLS_AT="5")
    assert died.returncode == -signal.SIGKILL
    again = run(script)
    assert (script / "asked").read_text().split() == ["4", "5", "6", "7", "8", "9"]
    votes = [[n % 2, 1 if n % 2 == 0 else -1] for n in range(10)]
    assert again.stdout.strip() == (
        f"{votes} 2 of 2 columns recomputed: slow (3 of 5 partitions are new), "
        "even (3 of 5 partitions are new)"
    )


def test_interrupting_with_workers_leaves_no_process_behind_and_what_was_done(script: Path) -> None:
    going = subprocess.Popen(
        [sys.executable, "rules.py", "local:2"],
        cwd=script,
        env={**os.environ, "WAITS_AT": "9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    done = (script / "votes").rglob
    while going.poll() is None and not ((script / "waiting").exists() and any(done("*.votes"))):
        time.sleep(0.01)
    os.killpg(going.pid, signal.SIGINT)
    _, said = going.communicate(timeout=120)
    assert (going.returncode, said.strip()) == (1, "stopped")
    assert not lives(int((script / "waiting").read_text()))
    assert "slow (" in run(script).stdout
    assert len((script / "asked").read_text().split()) < 10


def of_each_kind() -> list[LabelingFunction]:
    return [
        labeling_function(name="row")(lambda row: 1 if row.n % 3 == 0 else None),
        labeling_function(name="batch", kind="batch")(lambda part: part["n"] % 2),
        keywords("words", ["a"], 1, "text"),
        where("whole", lambda: pl.col("n") >= pl.col("n").max(), 0),
    ]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("size", [3, 10, 50])
def test_a_file_gives_the_votes_that_its_frame_gives(
    tmp_path: Path, suffix: str, size: int
) -> None:
    from gristmill.data.formats import write_table

    table = NUMBERS.with_columns(pl.Series("text", list("abcabcabca")))
    path = write_table(table, tmp_path / f"t.{suffix}")
    plain = apply(of_each_kind(), table, classes=2)
    assert apply(of_each_kind(), path, classes=2, partition_rows=size) == plain
    cache = VoteCache(tmp_path / "votes")
    for source in (path, table, path):  # equal content, equal columns: either may be read again
        assert apply(of_each_kind(), source, classes=2, partition_rows=size, cache=cache) == plain
    assert apply(of_each_kind(), path, classes=2, partition_rows=size, cache=cache).notes == (
        "0 of 4 columns recomputed",
    )


def test_of_a_file_a_partition_is_in_memory_at_a_time(tmp_path: Path) -> None:
    seen: list[int] = []
    NUMBERS.write_parquet(tmp_path / "t.parquet")
    counts = labeling_function(name="rows", kind="batch")(
        lambda frame: seen.append(frame.height) or [0] * frame.height  # type: ignore[func-returns-value]
    )
    apply([counts], tmp_path / "t.parquet", classes=2, partition_rows=4)
    assert seen == [4, 4, 2]


def test_an_expression_over_the_whole_that_cannot_run_is_told_before_the_work() -> None:
    asked: list[int] = []
    slow = labeling_function(name="slow")(lambda row: asked.append(row.n))
    wrong = where("wrong", lambda: pl.col("m") > pl.col("m").mean(), 1)
    with pytest.raises(LabelError, match="labelling function 'wrong': its expression cannot run"):
        apply([slow, wrong], NUMBERS, classes=2)
    assert asked == []


def test_columns_over_the_whole_are_cached_by_the_whole(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    above = where("above", lambda: pl.col("n") > pl.col("n").mean(), 1)

    def note(table: pl.DataFrame) -> str:
        return apply([above], table, classes=2, cache=cache, partition_rows=3).notes[0]

    new = "1 of 1 columns computed: no votes are cached for this table"
    assert note(NUMBERS) == new
    assert note(NUMBERS) == "0 of 1 columns recomputed"
    assert note(NUMBERS.head(9)) == new


def test_a_function_that_no_worker_can_import_is_named() -> None:
    fine = labeling_function(name="fine")(len)
    nested = labeling_function(name="nested")(lambda row: None)
    with pytest.raises(LabelError) as caught:
        apply([fine, nested], NUMBERS, classes=2, engine="local")
    told = str(caught.value)
    assert told.startswith("labelling function 'nested': it cannot be sent to worker processes: ")
    assert "fix: define it, its resources and its preprocessors at the top level" in told


class Counting(Inline):
    """An engine that notes how far ahead of the results it was handed partitions."""

    def __init__(self) -> None:
        self.taken, self.closed = 0, False

    def attempts(
        self, fn: Callable[[Any], Any], items: Iterable[Any], /
    ) -> Generator[Outcome[Any], None, None]:
        try:
            for item in items:
                self.taken += 1
                yield from super().attempts(fn, [item])
        finally:
            self.closed = True


def test_the_engine_ends_when_a_function_stops_the_work() -> None:
    engine = Counting()
    stops = labeling_function(name="stops")(lambda row: 1 // (4 - row.n))
    with pytest.raises(LabelError, match="row 4"):
        apply([stops], NUMBERS, classes=2, engine=engine, partition_rows=2, on_error="raise")
    assert (engine.taken, engine.closed) == (3, True)


def test_a_frame_is_not_sent_to_an_engine_for_the_sake_of_expressions(tmp_path: Path) -> None:
    engine, above = Counting(), where("w", lambda: pl.col("n") > 1, 1)
    votes = apply([above], NUMBERS, classes=2, engine=engine)
    assert engine.taken == 0
    NUMBERS.write_parquet(tmp_path / "t.parquet")
    assert apply([above], tmp_path / "t.parquet", classes=2, engine=engine) == votes
    assert engine.taken == 1


def test_failures_of_many_partitions_keep_their_places(tmp_path: Path) -> None:
    NUMBERS.write_parquet(tmp_path / "t.parquet")
    odd = labeling_function(name="odd", on_error="abstain")(lambda row: 1 // (row.n % 2))
    votes = apply([odd], tmp_path / "t.parquet", classes=2, partition_rows=3)
    assert votes.silent["row"].to_list() == [0, 2, 4, 6, 8]
    assert votes.matrix[:, 0].tolist() == [-1, 1] * 5
    assert np.isfortran(votes.matrix) or votes.matrix.shape[1] == 1
