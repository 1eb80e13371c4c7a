"""Labelling functions on engines: the votes of one process, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.label.functions import engine_rules
from tests.label.functions.engine_rules import CLASSES, FUNCTIONS
from tests.s3_server import S3Server

from gristmill.core.errors import DataError, LabelError, StepError
from gristmill.engine import Engine, LocalProcesses
from gristmill.engine.current import using_engine
from gristmill.engine.inline import Inline
from gristmill.engine.outcome import Outcome
from gristmill.label.functions import file_state
from gristmill.label.functions.application import apply
from gristmill.label.functions.function import LabelingFunction
from gristmill.label.functions.row_parts import StoredPart
from gristmill.label.functions.vote_cache import VoteCache

TABLE = pl.DataFrame(
    {"n": range(12), "text": list("abcabcabcabc"), "row_id": [f"r{n}" for n in range(12)]}
)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    TABLE.write_parquet(tmp_path / "t.parquet", row_group_size=5)
    return tmp_path / "t.parquet"


def test_votes_are_those_of_one_process(tmp_path: Path, parquet: Path, any_engine: Engine) -> None:
    plain = apply(FUNCTIONS, TABLE, classes=CLASSES)
    assert plain.failed() == {"divides": 1}
    TABLE.write_csv(tmp_path / "t.csv")
    for source in (parquet, tmp_path / "t.csv", TABLE):
        found = apply(FUNCTIONS, source, classes=CLASSES, engine=any_engine, partition_rows=4)
        assert found == plain
        assert found.silent.equals(plain.silent)
    with using_engine(any_engine):
        assert apply(FUNCTIONS, parquet, classes=CLASSES, partition_rows=5) == plain


def test_what_is_in_the_cache_is_not_asked_again(
    tmp_path: Path, parquet: Path, any_engine: Engine
) -> None:
    cache = VoteCache(tmp_path / "votes")

    def notes(count: int) -> tuple[str, ...]:
        some = [each for each in FUNCTIONS if each.name != "divides"][:count]
        return apply(
            some, parquet, classes=CLASSES, engine=any_engine, partition_rows=5, cache=cache
        ).notes

    assert notes(4) == ("4 of 4 columns computed: no votes are cached for this table",)
    assert notes(5) == ("1 of 5 columns recomputed: words (new or changed)",)
    assert notes(5) == ("0 of 5 columns recomputed",)


def test_a_function_that_raises_is_named_with_the_row(parquet: Path, any_engine: Engine) -> None:
    with pytest.raises(
        LabelError, match="labelling function 'divides', row 'r0': raised ZeroDivisionError"
    ):
        apply(FUNCTIONS, parquet, classes=CLASSES, engine=any_engine, on_error="raise")


def test_a_partition_over_which_workers_die_is_named_and_the_others_are_kept(
    tmp_path: Path, parquet: Path
) -> None:
    cache = VoteCache(tmp_path / "votes")
    functions = [engine_rules.odd, engine_rules.deadly_in(tmp_path)]

    def label(engine: Engine) -> tuple[str, ...]:
        votes = apply(functions, parquet, classes=2, engine=engine, partition_rows=3, cache=cache)
        assert votes.matrix[:, 1].tolist() == [1] * 12
        return votes.notes

    with LocalProcesses(1) as engine:
        with pytest.raises(StepError) as caught:
            label(engine)
        told = str(caught.value)
        assert told.startswith(f"no votes on 1 partition: {parquet}, rows 3 to 6: the worker")
        assert told.endswith("in the cache: the same call asks about these alone")
        (tmp_path / "mended").touch()
        assert label(engine) == (
            "2 of 2 columns recomputed: odd (1 of 4 partitions are new), "
            "deadly (1 of 4 partitions are new)",
        )


class Mortal(Inline):
    """An engine whose workers die over each item but the first."""

    def attempts(
        self, fn: Callable[[Any], Any], items: Iterable[Any], /
    ) -> Generator[Outcome[Any], None, None]:
        for number, item in enumerate(items):
            died = StepError("the worker died", fix="smaller partitions")
            yield Outcome(error=died) if number else Outcome(fn(item))


def test_without_a_cache_the_first_death_ends_the_work() -> None:
    with pytest.raises(StepError) as caught:
        apply([engine_rules.odd], TABLE, classes=2, engine=Mortal(), partition_rows=2)
    assert str(caught.value) == (
        "no votes on 1 partition: rows 2 to 4: the worker died\n"
        "  fix: smaller partitions; with cache= the votes on the others would be kept"
    )


def test_of_many_deaths_the_first_are_told(tmp_path: Path) -> None:
    cache = VoteCache(tmp_path)
    with pytest.raises(StepError, match=r"no votes on 5 partitions: .*8: the worker died, and 2 m"):
        apply([engine_rules.odd], TABLE, classes=2, engine=Mortal(), partition_rows=2, cache=cache)


def test_a_file_whose_votes_are_known_is_not_read(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr(file_state, "_SETTLED_SECONDS", -60.0)
    plain = StoredPart.read
    monkeypatch.setattr(StoredPart, "read", lambda part, *_: read.append(part.start) or plain(part))

    def label(*functions: LabelingFunction) -> list[int]:
        read.clear()
        cache = VoteCache(tmp_path / "votes")
        apply(functions, parquet, classes=CLASSES, cache=cache, partition_rows=6)
        return read

    assert label(engine_rules.odd) == [0, 6]
    assert label(engine_rules.odd) == []
    assert label(engine_rules.odd, engine_rules.has_letter) == [0, 6]
    TABLE.with_columns(pl.when(pl.col("n") < 6).then("n").otherwise(0)).write_parquet(parquet)
    assert label(engine_rules.odd) == [0, 6]  # another content
    assert label(engine_rules.odd) == []


@pytest.mark.parametrize("young", [True, False])
def test_a_file_written_a_moment_ago_is_known_by_its_content_alone(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, young: bool
) -> None:
    monkeypatch.setattr(file_state, "_SETTLED_SECONDS", 60.0 if young else -60.0)
    apply([engine_rules.odd], parquet, classes=2, cache=VoteCache(tmp_path / "votes"))
    assert (tmp_path / "votes" / "known").exists() is not young


class Forgetful(VoteCache):
    """A cache that is emptied by somebody else after it was asked for the first time."""

    asked = 0

    def get(self, partition: str, rows: int) -> dict[str, Any]:
        self.asked += 1
        return super().get(partition, rows) if self.asked == 1 else {}


def test_votes_that_vanish_from_the_cache_meanwhile_are_asked_again(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_state, "_SETTLED_SECONDS", -60.0)
    votes = [
        apply([engine_rules.odd], parquet, classes=CLASSES, cache=cache)
        for cache in (None, VoteCache(tmp_path / "votes"), Forgetful(tmp_path / "votes"))
    ]
    assert votes[0] == votes[1] == votes[2]
    assert votes[2].notes[0].startswith("1 of 1 columns computed")


def test_a_file_written_while_it_is_voted_on_is_refused(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gristmill.label.functions import row_source

    monkeypatch.setattr(row_source, "file_state", lambda path: "as it was when the work began")
    cache = VoteCache(tmp_path / "votes")
    apply([engine_rules.odd], parquet, classes=CLASSES, cache=cache)
    TABLE.with_columns(pl.col("n") + 1).write_parquet(parquet, row_group_size=5)
    with pytest.raises(DataError, match="the rows are others than when the work began"):
        apply([engine_rules.odd, engine_rules.has_letter], parquet, classes=CLASSES, cache=cache)


@pytest.mark.s3
@pytest.mark.xdist_group("s3")
def test_an_object_is_voted_on_where_it_is_read(tmp_path: Path, s3_server: S3Server) -> None:
    TABLE.write_parquet(tmp_path / "t.parquet", row_group_size=5)
    url = s3_server.put("mill/labelled/t.parquet", tmp_path / "t.parquet")
    options: dict[str, Any] = {"classes": CLASSES, "partition_rows": 5}
    with LocalProcesses(1) as engine:
        found = apply(FUNCTIONS, url, engine=engine, cache=VoteCache(tmp_path / "v"), **options)
    assert found == apply(FUNCTIONS, TABLE, classes=CLASSES)
    known = [each for each in FUNCTIONS if each.name != "divides"]  # it failed, so it is asked anew
    again = apply(known, url, engine=Mortal(), cache=VoteCache(tmp_path / "v"), **options)
    assert again.notes == ("0 of 5 columns recomputed",)
