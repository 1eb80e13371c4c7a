"""Batch prediction: one row out for each row in, whatever the data, the output and the rows."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import BundleError, DataError, FindingsError, UsageError
from gristmill.core.progress import reporting
from gristmill.data.features import Columns
from gristmill.engine.local import LocalProcesses
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref

Tables = Callable[[int], pl.DataFrame]
Toys = Callable[..., Bundle]


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_one_row_out_for_each_row_in(bundle: Bundle, tmp_path: Path, table_of: Tables) -> None:
    table = table_of(250)
    summary = predict_table(bundle, table, tmp_path / "out.parquet", batch_rows=3, part_rows=40)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.columns == ["row_id", "prediction_id", "label", "prob", "probs", "error"]
    assert out["row_id"].to_list() == list(range(250))
    prefix = f"p{bundle.fingerprint[:8]}-{summary.input[:8]}-"
    assert out["prediction_id"].to_list() == [f"{prefix}{row}" for row in range(250)]
    assert out["error"].null_count() == 250
    expected = open_runner(bundle)(Rows({"text": table["text"].to_list()}))
    assert out["label"].to_list() == expected["label"]
    np.testing.assert_allclose(out["prob"], expected["prob"], rtol=0, atol=1e-6)
    assert (summary.rows, summary.written, summary.bad, summary.resumed) == (250, 250, 0, 0)
    assert summary.labels == dict(out["label"].value_counts().sort("label").iter_rows())
    assert (summary.bundle, summary.out) == (bundle.fingerprint, str(tmp_path / "out.parquet"))
    assert left_behind(tmp_path) == []


def test_the_same_rows_get_the_same_bits_as_online(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    table = table_of(64)
    predict_table(bundle, table, tmp_path / "out.parquet", batch_rows=64)
    asked = open_runner(bundle)(Rows({"text": table["text"].to_list()}))
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["prob"].to_numpy().tobytes() == np.asarray(asked["prob"]).tobytes()
    assert np.stack(out["probs"].to_list()).tobytes() == np.asarray(asked["probs"]).tobytes()


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


def test_a_table_of_bad_rows_only_has_the_same_columns(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    predict_table(bundle, pl.DataFrame({"text": [1, 2]}), tmp_path / "bad.parquet")
    predict_table(bundle, table_of(2), tmp_path / "good.parquet")
    bad, good = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("bad", "good"))
    assert bad.schema == good.schema
    assert bad["error"].to_list() == [
        "field 'text': expected a string, found 1",
        "field 'text': expected a string, found 2",
    ]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.jsonl", "out.csv.gz", "out"])
def test_no_rows(bundle: Bundle, tmp_path: Path, table_of: Tables, name: str) -> None:
    summary = predict_table(bundle, table_of(0), tmp_path / name)
    assert (summary.rows, summary.labels) == (0, {})
    if name == "out.csv":
        head = "row_id,prediction_id,label,prob,probs.ham,probs.spam,error\n"
        assert (tmp_path / name).read_text() == head


@pytest.mark.parametrize(
    "suffix", ["parquet", "csv", "tsv", "jsonl", "csv.gz", "jsonl.gz", "arrow"]
)
def test_files_of_every_kind_give_the_same_answers(
    bundle: Bundle, tmp_path: Path, suffix: str, table_of: Tables
) -> None:
    table, path = table_of(100), tmp_path / f"data.{suffix}"
    kind = suffix.removesuffix(".gz")
    if kind == "parquet":
        table.write_parquet(path, row_group_size=7)
    elif kind == "arrow":
        table.write_ipc(path)
    else:
        text = {"csv": table.write_csv, "jsonl": table.write_ndjson}.get(kind)
        data = (text() if text else table.write_csv(separator="\t")).encode()
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    predict_table(bundle.folder, path, tmp_path / "file.parquet", part_rows=30)
    predict_table(bundle.folder, table, tmp_path / "frame.parquet", part_rows=30)
    one, two = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("file", "frame"))
    assert one.drop("prediction_id").equals(two.drop("prediction_id"))


@pytest.mark.parametrize("place", ["data", "data/*.parquet"])
def test_folders_and_patterns(bundle: Bundle, tmp_path: Path, table_of: Tables, place: str) -> None:
    (tmp_path / "data").mkdir()
    table = table_of(70)
    table[:30].write_parquet(tmp_path / "data" / "a.parquet")
    table[30:].write_parquet(tmp_path / "data" / "b.parquet")
    predict_table(bundle, str(tmp_path / place), tmp_path / "many.parquet", part_rows=20)
    predict_table(bundle, table, tmp_path / "one.parquet", part_rows=20)
    one, two = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    assert two["row_id"].to_list() == list(range(70))
    assert one["label"].equals(two["label"])


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.csv.gz", "out"])
def test_every_output_says_the_same(
    bundle: Bundle, tmp_path: Path, table_of: Tables, name: str
) -> None:
    table = table_of(100).vstack(pl.DataFrame({"text": ["x" * 51]}))
    predict_table(bundle, table, tmp_path / "out.parquet", part_rows=30)
    predict_table(bundle, table, tmp_path / name, part_rows=30)
    expected = pl.read_parquet(tmp_path / "out.parquet")
    if name == "out":
        assert len(list((tmp_path / "out").iterdir())) == 4
        assert pl.read_parquet(tmp_path / "out").equals(expected)
        return
    if name == "out.jsonl":
        found = pl.read_ndjson(tmp_path / name, schema=expected.schema)
    else:
        found = pl.read_csv(
            tmp_path / name, separator="\t" if "tsv" in name else ",", infer_schema_length=None
        )
        each = [pl.col("probs").list.get(at).alias(f"probs.{label}")
                for at, label in enumerate(bundle.classes)]  # fmt: skip
        expected = expected.select("row_id", "prediction_id", "label", "prob", *each, "error")
    assert found.equals(expected)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.none() | st.text(max_size=60), max_size=60),
    batch_rows=st.integers(1, 4),
    part_rows=st.integers(1, 20),
)
def test_rows_keep_their_order_and_number(
    tmp_path: Path,
    write_toy: Toys,
    texts: list[str | None],
    batch_rows: int,
    part_rows: int,
) -> None:
    bundle = write_toy(tmp_path / "bundle")
    table = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    summary = predict_table(
        bundle, table, tmp_path / "out.parquet", batch_rows=batch_rows, part_rows=part_rows
    )
    out = pl.read_parquet(tmp_path / "out.parquet")
    good = [text is not None and len(text) <= 50 for text in texts]
    assert out["row_id"].to_list() == list(range(len(texts)))
    assert out["label"].is_not_null().to_list() == good
    assert out["error"].is_null().to_list() == good
    assert summary.bad == good.count(False)
    answers = open_runner(bundle)
    for row in np.flatnonzero(good)[:5]:
        alone = answers(Rows({"text": [texts[row]]}))
        assert out["prob"][int(row)] == pytest.approx(alone["prob"][0], abs=1e-6)


def write_sums(folder: Path) -> Bundle:
    """Write a model of two numbers whose logits are the numbers."""
    graph = GraphSpec(
        inputs=[Input("x", "float32", [None, 2])],
        weights=[],
        nodes=[Node("same", "aten.clone.default", [Ref("x")])],
        outputs=["same"],
    )
    return write_bundle(
        folder,
        name="sums",
        classes=["a", "b"],
        signature=Signature([Field("a", "float"), Field("b", "float", min=-5.0)], []),
        featurizer=Columns(("a", "b")),
        graph=graph,
        weights={},
    )


def test_cells_of_text_files_are_read_one_by_one(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("a,b\n1,2\n1.5,n/a\n007,1\n,3\n2,-6\nnan,1\n-1e1,+4\n3,4\n")
    predict_table(write_sums(tmp_path / "sums"), data, tmp_path / "out.parquet", part_rows=3)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["label"].to_list() == ["b", None, None, None, None, None, None, "b"]
    assert out["error"].to_list()[1:7] == [
        "field 'b': expected a float, found 'n/a'",
        "field 'a': expected a float, found '007'",
        "field 'a': expected a float, found None",
        "field 'b': expected at least -5, found -6.0",
        "field 'a': expected a finite number, found nan",
        "field 'b': expected a float, found '+4'",
    ]


def test_a_row_that_the_model_cannot_read_is_found_among_others(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1.0, 1e300, 3.0, math.pi], "b": [2.0, 1.0, 1.0, -1e200]})
    summary = predict_table(
        write_sums(tmp_path / "sums"), table.with_columns(b=pl.lit(0.0)), tmp_path / "out.parquet"
    )
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["label"].to_list() == ["a", None, "a", "a"]
    assert "expected finite numbers, found" in out["error"][1]
    assert summary.bad == 1


def test_columns_are_kept(tmp_path: Path) -> None:
    bundle = write_sums(tmp_path / "sums")
    table = pl.DataFrame({"a": [1.0], "b": [2.5], "who": ["me"], "when": [[1, 2]]})
    predict_table(bundle, table, tmp_path / "out.parquet", keep=["who", "when", "b"])
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.columns[-4:] == ["error", "who", "when", "b"]
    assert out.row(0)[-3:] == ("me", [1, 2], 2.5)
    predict_table(bundle, table, tmp_path / "out.csv", keep=["when"])
    assert (tmp_path / "out.csv").read_text().endswith(',,"[1,2]"\n')
    (tmp_path / "data.csv").write_text("a,b,id\n1,2,7\n1,2,x\n")
    predict_table(bundle, tmp_path / "data.csv", tmp_path / "out.parquet", keep=["id"], part_rows=1)
    assert pl.read_parquet(tmp_path / "out.parquet")["id"].to_list() == ["7", "x"]


def test_bad_rows_kept_dropped_or_refused(tmp_path: Path) -> None:
    bundle, out = write_sums(tmp_path / "sums"), tmp_path / "out.parquet"
    table = pl.DataFrame({"a": [1.0, None, 3.0, None], "b": [0.0, 0.0, -9.0, 0.0]})
    summary = predict_table(bundle, table, out, on_bad="drop", part_rows=2)
    assert pl.read_parquet(out)["row_id"].to_list() == [0]
    assert (summary.rows, summary.written, summary.bad) == (4, 1, 3)
    with pytest.raises(
        FindingsError, match="row 1: 1 rows of this part are bad; the first: field 'a': expected"
    ):
        predict_table(bundle, table, out, on_bad="fail", part_rows=2)
    assert pl.read_parquet(out).height == 1


def test_bad_rows_are_written_out_with_their_reasons(tmp_path: Path) -> None:
    bundle, side = write_sums(tmp_path / "sums"), tmp_path / "bad.csv"
    data = tmp_path / "data.csv"
    data.write_text("a,b,id\n1,2,u\nx,2,v\n1,2\n5,5,w\n1,,z\n")
    summary = predict_table(bundle, data, tmp_path / "out.csv", quarantine=side, part_rows=2)
    assert side.read_text() == (
        "row_id,a,b,id,reason\n"
        "1,x,2.0,v,\"field 'a': expected a float, found 'x'\"\n"
        "3,1,,z,\"field 'b': expected a float, found None\"\n"
    )
    lines = pl.read_csv(tmp_path / "bad.unreadable.csv")
    assert lines["line"].to_list() == [4]
    assert (summary.rows, summary.bad, summary.unreadable) == (4, 2, 1)
    assert summary.quarantine == str(side)
    with pytest.raises(DataError, match=r"data\.csv, line 4: this line is no row: "):
        predict_table(bundle, data, tmp_path / "out.csv")


@dataclass(frozen=True)
class Odd:
    """Minds odd numbers."""

    mark: str = "odd"

    def __call__(self, rows: pl.DataFrame, /) -> dict[int, str]:
        return {at: "odd" for at, a in enumerate(rows["a"]) if a is not None and a % 2}


def test_values_of_json_that_are_no_texts_are_bad_rows(bundle: Bundle, tmp_path: Path) -> None:
    data, side = tmp_path / "data.jsonl", tmp_path / "bad.jsonl"
    data.write_text('{"text": 42}\n{"text": "42"}\n{"text": ["a"]}\n{"text": "b"}\n')
    out = tmp_path / "out.csv"
    summary = predict_table(bundle, data, out, quarantine=side, keep=["text"])
    assert (summary.rows, summary.written, summary.bad, summary.unreadable) == (4, 4, 2, 0)
    errors = pl.read_csv(out)["error"].to_list()
    assert errors == [
        "field 'text': expected a string, found 42",
        None,
        "field 'text': expected a string, found ['a']",
        None,
    ]
    assert pl.read_ndjson(side).rows() == [(0, "42", errors[0]), (2, '["a"]', errors[2])]
    assert pl.read_csv(out)["text"].to_list() == ["42", "42", '["a"]', "b"]


def test_a_further_check_warns_or_rejects(tmp_path: Path) -> None:
    bundle, out = write_sums(tmp_path / "sums"), tmp_path / "out.parquet"
    table = pl.DataFrame({"a": [1.0, 2.0, None, 3.0], "b": [0.0, 0.0, 0.0, -9.0]})
    summary = predict_table(bundle, table, out, guard=Odd(), warn_only=True)
    found = pl.read_parquet(out)
    assert found["warning"].to_list() == ["odd", None, None, "odd"]
    assert found["label"].to_list() == ["a", "a", None, None]
    assert (summary.warned, summary.bad) == (2, 2)
    summary = predict_table(bundle, table, out, guard=Odd())
    found = pl.read_parquet(out)
    assert found["label"].to_list() == [None, "a", None, None]
    assert found["error"][0] == "odd"
    assert found["error"][3] == "field 'b': expected at least -5, found -9.0; odd"
    assert (summary.warned, summary.bad) == (0, 3)


def test_work_in_processes_gives_the_same(bundle: Bundle, tmp_path: Path, table_of: Tables) -> None:
    table = table_of(100)
    with LocalProcesses(2) as engine:
        predict_table(bundle, table, tmp_path / "two.parquet", part_rows=30, engine=engine)
    predict_table(bundle, table, tmp_path / "one.parquet", part_rows=30)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_calls_that_are_refused_before_any_work(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    out, data = tmp_path / "out.parquet", tmp_path / "data.parquet"
    table_of(3).write_parquet(data)
    with pytest.raises(UsageError, match="expected batch_rows of at least 1, found 0"):
        predict_table(bundle, data, out, batch_rows=0)
    with pytest.raises(UsageError, match="expected part_rows of at least 1, found 0"):
        predict_table(bundle, data, out, part_rows=0)
    with pytest.raises(UsageError, match="the output would replace the data\n  fix: rename one"):
        predict_table(bundle, data, tmp_path / "x" / ".." / "data.parquet")
    with pytest.raises(UsageError, match="answers and bad rows would go to one file"):
        predict_table(bundle, data, out, quarantine=out)
    with pytest.raises(DataError, match="input of model 'toy': expected a column 'text', found a"):
        predict_table(bundle, pl.DataFrame({"a": [1]}), out)
    with pytest.raises(DataError, match="expected a column 'who', found text"):
        predict_table(bundle, data, out, keep=["who"])
    with pytest.raises(UsageError, match="column 'label' cannot be kept"):
        predict_table(bundle, table_of(1).with_columns(label=1), out, keep=["label"])
    for name, odd in (("out.csv", "probs.ham"), ("out.parquet", "probs")):
        table = table_of(1).with_columns(pl.lit(1).alias(odd))
        with pytest.raises(UsageError, match=f"column '{odd}' cannot be kept"):
            predict_table(bundle, table, tmp_path / name, keep=[odd])
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


def test_ids_must_be_unique_across_the_parts_of_a_file(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    data = tmp_path / "data.parquet"
    ids = [*range(99), 0]
    table_of(100).with_columns(pl.Series("row_id", ids)).write_parquet(data)
    with pytest.raises(DataError, match="column 'row_id' has value 0 more than once"):
        predict_table(bundle, data, tmp_path / "out.parquet", part_rows=10)


def test_a_bundle_replaced_meanwhile_is_noticed(
    bundle: Bundle, tmp_path: Path, write_toy: Toys, table_of: Tables
) -> None:
    write_toy(tmp_path / "bundle", seed=1)
    with pytest.raises(BundleError, match="don't replace a bundle while it predicts"):
        predict_table(bundle, table_of(5), tmp_path / "out.parquet")


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


def test_progress_is_told_in_rows(bundle: Bundle, tmp_path: Path, table_of: Tables) -> None:
    recorder = Recorder()
    with reporting(recorder):
        predict_table(bundle, table_of(40), tmp_path / "out.parquet", part_rows=16)
    assert recorder.events == [("predict", 40, "rows"), 0, 16, 16, 8, "done"]
