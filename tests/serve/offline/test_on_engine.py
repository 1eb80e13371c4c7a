"""Batch prediction on engines: the same bytes, whoever answers, dies or fails."""

from __future__ import annotations

import gzip
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from gristmill.core.errors import DataError, FindingsError, GristmillError
from gristmill.data import text_blocks
from gristmill.engine import Engine
from gristmill.engine.inline import Inline
from gristmill.serve.offline import on_engine
from gristmill.serve.offline.ledger import Ledger, kept_rows
from gristmill.serve.offline.opening import Input, open_source
from gristmill.serve.offline.order import Order
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Bundle, Field

Tables = Callable[[int], pl.DataFrame]
PATIENCE_SECONDS = 60.0


class Plain:
    """Answers without torch, which workers would take longer to load than all the rest."""

    name, classes, outputs = "plain", ("ham", "spam"), ()

    def __init__(self, folder: Path, words: Path | None = None) -> None:
        bundle = Bundle.open(folder)
        self.fingerprint, self.inputs = bundle.fingerprint, tuple(bundle.signature.inputs)
        self.words = words

    def work(self, rows: Rows) -> NDArray[np.float64]:
        return np.ones(rows.count)

    def __call__(self, rows: Rows) -> Rows:
        texts = [str(text) for text in cast("list[object]", rows["text"])]
        bad = self.words.read_text().split() if self.words else []
        for text in texts:
            if text.split()[-1] in bad:
                raise ZeroDivisionError(text)
        prob = np.array([1 / (1 + len(text)) for text in texts])
        probs = np.stack([prob, 1 - prob], axis=1)
        labels = ["ham" if ham > 0.5 else "spam" for ham in prob]
        return Rows({"label": labels, "prob": probs.max(axis=1), "probs": probs})


@dataclass(frozen=True)
class Dying:
    """Opens a bundle in a process that dies, unless another has died before."""

    mark: Path

    def __call__(self, folder: Path) -> Plain:
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return Plain(folder)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class Noting:
    """Opens a bundle, and notes in which process."""

    log: Path

    def __call__(self, folder: Path) -> Plain:
        with self.log.open("a") as log:
            log.write(f"{socket.gethostname()} {os.getpid()}\n")
        return Plain(folder)


class Held(Plain):
    """Answers the first rows alone, so that whoever waits for the others can be killed."""

    def __call__(self, rows: Rows) -> Rows:
        if int(str(rows["text"][0]).split()[-1]) >= 128:
            time.sleep(600)
        return super().__call__(rows)


@dataclass(frozen=True)
class Refusing:
    """Opens a bundle whose model refuses a batch with one of these words, while they are there."""

    words: Path

    def __call__(self, folder: Path) -> Plain:
        return Plain(folder, self.words)


def test_the_same_bytes_on_every_engine(
    any_engine: Engine, bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    table = table_of(300).with_columns(
        pl.when(pl.int_range(300) % 50 != 7).then("text").alias("text"), other=pl.lit(1)
    )
    table.write_parquet(tmp_path / "data.parquet", row_group_size=70)
    table.write_csv(tmp_path / "data.csv")
    sources: dict[str, Input] = {
        "parquet": tmp_path / "data.parquet",
        "csv": tmp_path / "data.csv",
        "frame": table,
    }
    for name, data in sources.items():
        here, there = tmp_path / f"here_{name}", tmp_path / f"there_{name}"
        for out, engine in ((here, None), (there, any_engine)):
            summary = predict_table(bundle, data, out, part_rows=16, engine=engine, opener=Plain,
                                    quarantine=out.with_suffix(".jsonl"))  # fmt: skip
            assert (summary.rows, summary.bad, summary.resumed) == (300, 6, 0)
        for one, two in zip(sorted(here.iterdir()), sorted(there.iterdir()), strict=True):
            assert one.name == two.name
            assert one.read_bytes() == two.read_bytes()
        assert here.with_suffix(".jsonl").read_bytes() == there.with_suffix(".jsonl").read_bytes()


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "arrow", "npy"])
def test_parts_are_those_of_a_run_without_an_engine(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 2000)
    odd = pl.Series("x", [f"{row}" if row % 311 else f"0{row}" for row in range(1000)])
    table = pl.DataFrame({"x": odd, "text": [f"a {row}" * (row % 7) for row in range(1000)]})
    path = tmp_path / f"data.{suffix}"
    if suffix == "npy":
        np.save(path, np.arange(3000.0).reshape(1000, 3))
        fields = [Field("x", "tensor", dtype="float64", shape=[3])]
    else:
        fields = [Field("x", "int"), Field("text", "string")]
        if suffix == "arrow":
            table.write_ipc_stream(path)
        elif suffix == "jsonl":
            table.write_ndjson(path)
        else:
            data = table.write_csv().encode()
            path.write_bytes(gzip.compress(data) if suffix == "csv.gz" else data)
    source = open_source(path, fields)
    whole = dict(source.parts(64, lambda number: number % 3 != 1))
    assert len(whole) == 16
    for run in source.runs(64, lambda number: number % 3 != 1, 4):
        for number, frame in zip(run.numbers, pickle.loads(pickle.dumps(run.rows)).frames(),
                                 strict=True):  # fmt: skip
            rows = whole.pop(number)
            assert rows is not None
            assert frame.equals(next(rows.frames()))
    assert set(whole.values()) == {None}


def test_a_process_loads_the_model_once(
    any_engine: Engine, bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    table_of(480).write_parquet(tmp_path / "data.parquet")
    opener = Noting(tmp_path / "log")
    summary = predict_table(bundle, tmp_path / "data.parquet", tmp_path / "out.parquet",
                            part_rows=16, engine=any_engine, opener=opener)  # fmt: skip
    assert summary.rows == 480
    processes = opener.log.read_text().splitlines()
    assert len(processes) == len(set(processes))
    assert len(processes) < 480 // 16


def test_a_worker_that_dies_costs_no_row(
    any_engine: Engine, bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    table_of(200).write_parquet(tmp_path / "data.parquet")
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    predict_table(bundle, tmp_path / "data.parquet", whole, part_rows=16, opener=Plain)
    predict_table(bundle, tmp_path / "data.parquet", out, part_rows=16, engine=any_engine,
                  opener=Dying(tmp_path / "died"))  # fmt: skip
    assert (tmp_path / "died").exists()
    assert out.read_bytes() == whole.read_bytes()


def test_what_a_killed_run_on_an_engine_has_done_is_kept(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    data, out = tmp_path / "data.csv", tmp_path / "out.csv"
    table_of(640).write_csv(data)
    code = (
        "from tests.serve.offline.test_on_engine import Held, predict_table\n"
        f"predict_table({str(bundle.folder)!r}, {str(data)!r}, {str(out)!r}, part_rows=16, "
        "engine='local:2', opener=Held)"
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE_SECONDS
    while kept_rows(out) < 48 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not out.exists()
    summary = predict_table(bundle, data, out, part_rows=16, opener=Plain)
    assert summary.rows == 640
    assert summary.resumed >= 48
    predict_table(bundle, data, tmp_path / "whole.csv", part_rows=16, opener=Plain)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_part_that_fails_is_told_and_the_others_are_kept(
    any_engine: Engine, bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    table_of(200).write_parquet(tmp_path / "data.parquet")
    words, out = tmp_path / "words", tmp_path / "out.parquet"
    words.write_text("33 90 95")
    arguments = (bundle, tmp_path / "data.parquet", out)
    opener = Refusing(words)
    told = "2 parts could not be answered; the first, part 2: Zero"
    with pytest.raises(GristmillError, match=told) as caught:
        predict_table(*arguments, part_rows=16, engine=any_engine, opener=opener)
    assert "raise ZeroDivisionError(text)" in str(caught.value.__cause__)
    assert not out.exists()
    assert kept_rows(out) == 200 - 2 * 16
    words.write_text("")
    summary = predict_table(*arguments, part_rows=16, engine=any_engine, opener=opener)
    assert (summary.rows, summary.resumed) == (200, 200 - 2 * 16)
    assert pl.read_parquet(out)["row_id"].to_list() == list(range(200))


def test_workers_that_do_not_see_the_output_send_answers_back(
    bundle: Bundle, tmp_path: Path, table_of: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (bundle, table_of(100))
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    predict_table(*arguments, whole, part_rows=16, quarantine=tmp_path / "a.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "is_seen", lambda self: False)
        summary = predict_table(*arguments, out, part_rows=16, engine="inline",
                                quarantine=tmp_path / "b.csv")  # fmt: skip
    assert summary.rows == 100
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_ledger_is_seen_by_its_token_alone(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("of this run")
    assert Ledger(tmp_path / "job", "of this run").is_seen()
    assert not Ledger(tmp_path / "job", "of another").is_seen()
    assert not Ledger(tmp_path / "no" / "job", "of this run").is_seen()


def test_a_file_that_is_gone_fails_its_parts_only(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        table_of(40).write_parquet(data / f"{number}.parquet")

    class Removing(Inline):
        def attempts(self, fn, items):  # type: ignore[no-untyped-def]
            for number, outcome in enumerate(super().attempts(fn, items)):
                if number == 0:
                    (data / "1.parquet").unlink()
                yield outcome

    with pytest.raises(DataError) as caught:
        predict_table(bundle, data, tmp_path / "out.csv", part_rows=20, engine=Removing())
    assert caught.value.message.startswith("2 parts could not be answered; the first, part 2: the")
    assert str(caught.value.where) == str(data / "1.parquet")
    assert kept_rows(tmp_path / "out.csv") == 80


def test_a_part_that_cannot_be_read_takes_none_of_its_run_with_it(
    bundle: Bundle, tmp_path: Path, table_of: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Order, "run_parts", lambda self, workers: 4)
    monkeypatch.setattr(Ledger, "is_seen", lambda self: False)
    data, out = tmp_path / "data.parquet", tmp_path / "out.csv"
    table_of(200).write_parquet(data, row_group_size=20)
    good = data.read_bytes()
    table_of(200)[100:120].write_parquet(tmp_path / "alone.parquet")
    group = (tmp_path / "alone.parquet").read_bytes()[4:104]
    assert good.count(group) == 1
    data.write_bytes(good.replace(group, bytes(100)))
    with pytest.raises(DataError, match="1 part could not be answered; the first, part 5: the"):
        predict_table(bundle, data, out, part_rows=20, engine="inline")
    assert kept_rows(out) == 180
    with pytest.raises(DataError, match="1 part could not be answered; the first, part 5: the"):
        predict_table(bundle, data, out, part_rows=20, engine="inline")
    assert kept_rows(out) == 180


def test_so_many_failures_end_the_job(
    bundle: Bundle, tmp_path: Path, table_of: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_engine, "_MOST_FAILED", 3)
    (tmp_path / "words").write_text(" ".join(map(str, range(100))))
    with pytest.raises(GristmillError, match="3 parts could not be answered"):
        predict_table(bundle, table_of(100), tmp_path / "out.csv", part_rows=10, engine="inline",
                      opener=Refusing(tmp_path / "words"))  # fmt: skip


def test_a_bad_row_ends_the_job_where_that_is_asked(bundle: Bundle, tmp_path: Path) -> None:
    table = pl.DataFrame({"text": ["a", None, "b"]})
    with pytest.raises(FindingsError, match="1 rows of this part are bad"):
        predict_table(bundle, table, tmp_path / "out.csv", on_bad="fail", engine="inline")


@pytest.mark.parametrize("engine", [None, "inline"])
def test_ids_of_another_kind_are_refused(
    bundle: Bundle, tmp_path: Path, engine: str | None
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pl.DataFrame({"row_id": [1, 2], "text": ["a", "b"]}).write_parquet(data / "1.parquet")
    pl.DataFrame({"row_id": ["3"], "text": ["c"]}).write_parquet(data / "2.parquet")
    with pytest.raises(DataError, match="expected row ids of one type, found Int64 and String"):
        predict_table(bundle, data, tmp_path / "out.parquet", engine=engine)


def test_a_run_on_one_engine_is_finished_by_another(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    table_of(200).write_csv(tmp_path / "data.csv")
    words, out = tmp_path / "words", tmp_path / "out.csv"
    words.write_text("33")
    arguments = (bundle, tmp_path / "data.csv", out)
    with pytest.raises(GristmillError, match="1 part could not be answered"):
        predict_table(*arguments, part_rows=16, engine="inline", opener=Refusing(words))
    assert predict_table(*arguments, part_rows=16, opener=Plain).resumed == 184
    predict_table(*arguments[:2], tmp_path / "whole.csv", part_rows=16, opener=Plain)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
