"""Batch prediction: one row out for each row in, whatever happens on the way."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import BundleError, DataError, ServeError, UsageError
from gristmill.core.progress import reporting
from gristmill.data.features import HashedNgrams
from gristmill.engine.local import LocalProcesses
from gristmill.serve import predict
from gristmill.serve.parts import Part, PartWriter
from gristmill.serve.predict import predict_table
from gristmill.serve.runner import Runner
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref

TEXTS = ["win a prize", "hello mum", "", "call £900 now", "ok"]


def write_toy(folder: Path, seed: int = 0) -> Bundle:
    """Write a bag of words without training or export."""
    graph = GraphSpec(
        inputs=[Input("ids", "int64", [None, None])],
        weights=["table"],
        nodes=[
            Node("rows", "aten.embedding.default", [Ref("table"), Ref("ids"), 0]),
            Node("sum", "aten.sum.dim_IntList", [Ref("rows"), Items([1])]),
        ],
        outputs=["sum"],
    )
    table = np.random.default_rng(seed).normal(size=(101, 2)).astype(np.float32)
    table[0] = 0
    return write_bundle(
        folder,
        name="toy",
        classes=["ham", "spam"],
        signature=Signature([Field("text", "string", max_length=50)], []),
        featurizer=HashedNgrams(buckets=100),
        graph=graph,
        weights={"table": table},
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_toy(tmp_path / "bundle")


def table_of(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"text": [f"{TEXTS[row % 5]} {row}" for row in range(rows)]})


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_one_row_out_for_each_row_in(bundle: Bundle, tmp_path: Path) -> None:
    table = table_of(250)
    summary = predict_table(bundle, table, tmp_path / "out.parquet", batch_rows=3)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.columns == ["row_id", "prediction_id", "label", "prob", "probs", "error"]
    assert out["row_id"].to_list() == list(range(250))
    prefix = f"p{bundle.fingerprint[:8]}-{summary.input[:8]}-"
    assert out["prediction_id"].to_list() == [f"{prefix}{row}" for row in range(250)]
    assert out["error"].null_count() == 250
    expected = Runner(bundle).predict(table)
    assert out["label"].equals(expected["label"])
    np.testing.assert_allclose(out["prob"], expected["prob"], rtol=0, atol=1e-6)
    assert (summary.rows, summary.bad, summary.resumed) == (250, 0, 0)
    assert summary.labels == dict(expected["label"].value_counts().sort("label").iter_rows())
    assert (summary.bundle, summary.out) == (bundle.fingerprint, str(tmp_path / "out.parquet"))
    assert left_behind(tmp_path) == []


def test_rows_that_break_the_signature_say_why(bundle: Bundle, tmp_path: Path) -> None:
    table = pl.DataFrame({"row_id": ["a", "b", "c"], "text": ["win", None, "x" * 51]})
    summary = predict_table(bundle, table, tmp_path / "out.parquet")
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["row_id"].to_list() == ["a", "b", "c"]
    assert out["label"].is_null().to_list() == [False, True, True]
    assert out["probs"].is_null().to_list() == [False, True, True]
    assert out["error"][0] is None
    assert out["error"][1] == "field 'text': expected a string, found None"
    assert out["error"][2].startswith("field 'text': expected at most 50 characters, found 'xxx")
    assert out["prediction_id"].null_count() == 0
    assert (summary.rows, summary.bad) == (3, 2)


def test_a_table_of_bad_rows_only_has_the_same_columns(bundle: Bundle, tmp_path: Path) -> None:
    predict_table(bundle, pl.DataFrame({"text": [1, 2]}), tmp_path / "bad.parquet")
    predict_table(bundle, table_of(2), tmp_path / "good.parquet")
    bad, good = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("bad", "good"))
    assert bad.schema == good.schema
    assert bad["error"].to_list() == [
        "field 'text': expected a string, found 1",
        "field 'text': expected a string, found 2",
    ]


def test_no_rows(bundle: Bundle, tmp_path: Path) -> None:
    summary = predict_table(bundle, table_of(0), tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").height == 0
    assert (summary.rows, summary.labels) == (0, {})


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_files_of_every_kind_give_the_same_answers(
    bundle: Bundle, tmp_path: Path, suffix: str
) -> None:
    table, path = table_of(100), tmp_path / f"data.{suffix}"
    if suffix == "parquet":
        table.write_parquet(path, row_group_size=7)
    elif suffix == "csv":
        table.write_csv(path)
    else:
        table.write_ndjson(path)
    predict_table(bundle.folder, path, tmp_path / "file.parquet", batch_rows=2)
    predict_table(bundle.folder, table, tmp_path / "frame.parquet", batch_rows=2)
    one, two = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("file", "frame"))
    assert one.drop("prediction_id").equals(two.drop("prediction_id"))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.none() | st.text(max_size=60), max_size=60),
    batch_rows=st.integers(1, 4),
)
def test_rows_keep_their_order_and_number(
    tmp_path: Path, texts: list[str | None], batch_rows: int
) -> None:
    bundle = write_toy(tmp_path / "bundle")
    table = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    summary = predict_table(bundle, table, tmp_path / "out.parquet", batch_rows=batch_rows)
    out = pl.read_parquet(tmp_path / "out.parquet")
    good = [text is not None and len(text) <= 50 for text in texts]
    assert out["row_id"].to_list() == list(range(len(texts)))
    assert out["label"].is_not_null().to_list() == good
    assert out["error"].is_null().to_list() == good
    assert summary.bad == good.count(False)


class Stop(Exception):  # noqa: N818
    """Ends a run where the test wants."""


def stop_after(parts: int) -> Callable[[PartWriter, Part], int]:
    done = 0
    real = PartWriter.__call__

    def call(self: PartWriter, part: Part) -> int:
        nonlocal done
        if done == parts:
            raise Stop
        done += 1
        return real(self, part)

    return call


def test_a_run_that_was_stopped_goes_on(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = table_of(200), tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(PartWriter, "__call__", stop_after(2))
        with pytest.raises(Stop):
            predict_table(bundle, table, out, batch_rows=2)
    assert not out.exists()
    assert left_behind(tmp_path) == [".out.parquet.parts"]
    summary = predict_table(bundle, table, out, batch_rows=2)
    assert summary.resumed == 64
    predict_table(bundle, table, tmp_path / "whole.parquet", batch_rows=2)
    assert pl.read_parquet(out).equals(pl.read_parquet(tmp_path / "whole.parquet"))
    assert left_behind(tmp_path) == []


def test_parts_of_another_job_are_not_used(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    others = [(write_toy(tmp_path / "other", seed=1), table_of(200)), (bundle, table_of(201))]
    for other, table in others:
        with monkeypatch.context() as patch:
            patch.setattr(PartWriter, "__call__", stop_after(2))
            with pytest.raises(Stop):
                predict_table(other, table, out, batch_rows=2)
        assert predict_table(bundle, table_of(200), out, batch_rows=2).resumed == 0
        assert pl.read_parquet(out)["label"].equals(Runner(bundle).predict(table_of(200))["label"])


def stop(*arguments: object) -> None:
    raise Stop


def test_an_old_output_stays_until_the_new_one_is_whole(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    table_of(5).write_parquet(data)
    out.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(predict, "atomic_file", stop)
        with pytest.raises(Stop):
            predict_table(bundle, data, out)
    assert out.read_bytes() == b"old"
    assert left_behind(tmp_path) == [".out.parquet.parts"]
    predict_table(bundle, data, out)
    assert pl.read_parquet(out).height == 5


SLOW_RUN = """
import sys, time
from pathlib import Path
from gristmill.serve import predict
from gristmill.serve.parts import PartWriter
from gristmill.serve.predict import predict_table
real = PartWriter.__call__
def slow(self, part):
    rows = real(self, part)
    time.sleep(0.05)
    return rows
PartWriter.__call__ = slow
predict_table(sys.argv[1], sys.argv[2], sys.argv[3], batch_rows=1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_is_resumed(bundle: Bundle, tmp_path: Path, how: signal.Signals) -> None:
    data, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    table_of(800).write_parquet(data)
    work = tmp_path / ".out.parquet.parts"
    arguments = [sys.executable, "-c", SLOW_RUN, str(bundle.folder), str(data), str(out)]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(work.glob("part-*"))) < 3:
        time.sleep(0.01)
    os.kill(process.pid, how)
    assert process.wait() != 0
    assert not out.exists()
    summary = predict_table(bundle, data, out, batch_rows=1)
    assert 48 <= summary.resumed < 800
    assert pl.read_parquet(out)["row_id"].to_list() == list(range(800))


def test_work_in_processes_gives_the_same(bundle: Bundle, tmp_path: Path) -> None:
    table = table_of(100)
    with LocalProcesses(2) as engine:
        predict_table(bundle, table, tmp_path / "two.parquet", batch_rows=2, engine=engine)
    predict_table(bundle, table, tmp_path / "one.parquet", batch_rows=2)
    one, two = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one.equals(two)


def test_a_second_run_at_the_same_time_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    work = tmp_path / ".out.parquet.parts"
    work.mkdir()
    with (work / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ServeError) as caught:
            predict_table(bundle, table_of(5), tmp_path / "out.parquet")
    assert str(caught.value) == (
        f"{work}: another run is writing the same output\n  fix: wait for it"
    )
    assert predict_table(bundle, table_of(5), tmp_path / "out.parquet").rows == 5


def test_calls_that_are_refused_before_any_work(bundle: Bundle, tmp_path: Path) -> None:
    out, data = tmp_path / "out.parquet", tmp_path / "data.parquet"
    table_of(3).write_parquet(data)
    with pytest.raises(UsageError, match="expected batch_rows of at least 1, found 0"):
        predict_table(bundle, data, out, batch_rows=0)
    with pytest.raises(UsageError, match="expected a file to write, found a folder"):
        predict_table(bundle, data, tmp_path)
    with pytest.raises(UsageError, match=r"expected the name of a Parquet file, found 'out\.csv'"):
        predict_table(bundle, data, tmp_path / "out.csv")
    with pytest.raises(UsageError, match="the output would replace the data\n  fix: rename one"):
        predict_table(bundle, data, tmp_path / "x" / ".." / "data.parquet")
    with pytest.raises(
        DataError, match="input of model 'toy': expected a column 'text', found row_id, a"
    ):
        predict_table(bundle, pl.DataFrame({"a": [1]}), out)
    with pytest.raises(DataError, match="column 'row_id' has value 1 more than once"):
        predict_table(bundle, pl.DataFrame({"row_id": [1, 1], "text": ["a", "b"]}), out)
    with pytest.raises(DataError):
        predict_table(bundle, tmp_path / "none.parquet", out)
    (tmp_path / "cut.parquet").write_bytes(data.read_bytes()[:-9])
    with pytest.raises(DataError):
        predict_table(bundle, tmp_path / "cut.parquet", out)
    with pytest.raises(BundleError):
        predict_table(tmp_path / "none", data, out)
    assert not out.exists()
    assert left_behind(tmp_path) == []


def test_ids_must_be_unique_across_the_parts_of_a_file(bundle: Bundle, tmp_path: Path) -> None:
    data = tmp_path / "data.parquet"
    ids = [*range(99), 0]
    table_of(100).with_columns(pl.Series("row_id", ids)).write_parquet(data)
    with pytest.raises(DataError, match="column 'row_id' has value 0 more than once"):
        predict_table(bundle, data, tmp_path / "out.parquet", batch_rows=1)


def test_a_bundle_replaced_meanwhile_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    write_toy(tmp_path / "bundle", seed=1)
    with pytest.raises(BundleError, match="don't replace a bundle while it predicts"):
        predict_table(bundle, table_of(5), tmp_path / "out.parquet")


def test_parts_that_were_damaged_are_not_passed_on(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = table_of(200), tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(PartWriter, "__call__", stop_after(2))
        with pytest.raises(Stop):
            predict_table(bundle, table, out, batch_rows=2)
    part = tmp_path / ".out.parquet.parts" / "part-00000000.parquet"
    pl.read_parquet(part).head(5).write_parquet(part)
    with pytest.raises(ServeError, match="expected 200 rows, found 173\n  fix: remove this folder"):
        predict_table(bundle, table, out, batch_rows=2)
    assert not out.exists()
    shutil.rmtree(part.parent)


class Recorder:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def start(self, title: str, total: int | None, unit: str) -> Recorder:
        self.events.append((title, total, unit))
        return self

    def advance(self, amount: int = 1) -> None:
        self.events.append(amount)

    def note(self, text: str) -> None: ...

    def finish(self, task: object) -> None:
        self.events.append("done")

    def say(self, text: str) -> None: ...


def test_progress_is_told_in_rows(bundle: Bundle, tmp_path: Path) -> None:
    recorder = Recorder()
    with reporting(recorder):
        predict_table(bundle, table_of(40), tmp_path / "out.parquet", batch_rows=1)
    assert recorder.events == [("predict", 40, "rows"), 0, 16, 16, 8, "done"]
