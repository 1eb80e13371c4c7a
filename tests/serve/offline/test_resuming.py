"""Runs stopped, killed, or out of disk: the next one goes on, and ends with equal bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import DataError, ServeError
from gristmill.engine.local import LocalProcesses
from gristmill.serve.offline import ledger, output
from gristmill.serve.offline.ledger import Ledger, kept_rows, work_folder
from gristmill.serve.offline.part_writer import PartWriter
from gristmill.serve.offline.source import Part
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.store.bundle import Bundle

Tables = Callable[[int], pl.DataFrame]
Toys = Callable[..., Bundle]
ROWS, PART_ROWS = 900, 20
PATIENCE_SECONDS = 60.0


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


class Stop(Exception):  # noqa: N818
    """Ends a run where the test wants."""


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Predict until so many parts are done: stopped(parts, bundle, table, out, **options)."""

    def run(parts: int, *arguments: object, **options: object) -> None:
        real = PartWriter.__call__

        def call(self: PartWriter, part: Part) -> object:
            if part.number >= parts:
                raise Stop
            return real(self, part)

        with monkeypatch.context() as patch:
            patch.setattr(PartWriter, "__call__", call)
            with pytest.raises(Stop):
                predict_table(*arguments, **options)  # type: ignore[arg-type]

    return run


def test_a_run_that_was_stopped_goes_on(
    bundle: Bundle, tmp_path: Path, table_of: Tables, stopped: Callable[..., None]
) -> None:
    table, out = table_of(200), tmp_path / "out.parquet"
    stopped(2, bundle, table, out, part_rows=32)
    assert not out.exists()
    assert left_behind(tmp_path) == [".out.parquet.parts"]
    assert kept_rows(out) == 64
    assert predict_table(bundle, table, out, part_rows=32).resumed == 64
    predict_table(bundle, table, tmp_path / "whole.parquet", part_rows=32)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert left_behind(tmp_path) == []
    assert kept_rows(out) == 0


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_parts_in_the_middle_of_a_file_are_not_done_again(
    bundle: Bundle, tmp_path: Path, table_of: Tables, suffix: str, stopped: Callable[..., None]
) -> None:
    data, out = tmp_path / f"data.{suffix}", tmp_path / "out.parquet"
    write = {"parquet": "write_parquet", "csv": "write_csv", "jsonl": "write_ndjson"}[suffix]
    getattr(table_of(200), write)(data)
    stopped(5, bundle, data, out, part_rows=32)
    gone = next(work_folder(out).glob("*/00000002.json"))
    gone.unlink()
    assert predict_table(bundle, data, out, part_rows=32).resumed == 4 * 32
    assert pl.read_parquet(out)["row_id"].to_list() == list(range(200))


def test_parts_of_another_job_are_not_used(
    bundle: Bundle,
    tmp_path: Path,
    table_of: Tables,
    write_toy: Toys,
    stopped: Callable[..., None],
) -> None:
    out, table = tmp_path / "out.parquet", table_of(200)
    predict_table(bundle, table, tmp_path / "whole.parquet", part_rows=32)
    other = write_toy(tmp_path / "other", seed=1)
    jobs = [(other, table, {}), (bundle, table_of(201), {}), (bundle, table, {"on_bad": "drop"})]
    for made_by, data, options in jobs:
        stopped(2, made_by, data, out, part_rows=32, **options)
        assert predict_table(bundle, table, out, part_rows=32).resumed == 0
        assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_damaged_parts_are_done_again(
    bundle: Bundle, tmp_path: Path, table_of: Tables, stopped: Callable[..., None]
) -> None:
    table, out = table_of(200), tmp_path / "out.parquet"
    stopped(5, bundle, table, out, part_rows=32)
    (job,) = (path for path in work_folder(out).iterdir() if path.is_dir())
    torn = job / "00000000.answers"
    torn.write_bytes(bytes(torn.stat().st_size))
    (job / "00000001.answers").unlink()
    (job / "00000002.json").write_bytes(b"{")
    assert predict_table(bundle, table, out, part_rows=32).resumed == 64
    predict_table(bundle, table, tmp_path / "whole.parquet", part_rows=32)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_an_old_output_stays_until_the_new_one_is_whole(
    bundle: Bundle, tmp_path: Path, table_of: Tables, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / name
    predict_table(bundle, table_of(3), out)
    method = "collect" if name == "out" else "write"

    def stop(*arguments: object) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(output.Output, method, stop)
        with pytest.raises(Stop):
            predict_table(bundle, table_of(5), out)
    assert pl.read_parquet(out).height == 3
    assert predict_table(bundle, table_of(5), out).resumed == 5
    assert pl.read_parquet(out).height == 5
    assert left_behind(tmp_path) == []


def test_a_second_run_at_the_same_time_is_refused(
    bundle: Bundle, tmp_path: Path, table_of: Tables
) -> None:
    work = work_folder(tmp_path / "out.parquet")
    work.mkdir()
    with (work / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ServeError) as caught:
            predict_table(bundle, table_of(5), tmp_path / "out.parquet")
    assert str(caught.value) == (
        f"{work}: another run is writing the same output\n  fix: wait for it"
    )
    assert predict_table(bundle, table_of(5), tmp_path / "out.parquet").rows == 5


@pytest.mark.parametrize("in_processes", [False, True])
def test_a_full_disk_keeps_finished_parts(
    bundle: Bundle, tmp_path: Path, table_of: Tables, in_processes: bool
) -> None:
    table, out = table_of(200), tmp_path / "out.parquet"

    def run(writer: object = None) -> None:
        if in_processes:
            with LocalProcesses(1) as engine:
                predict_table(bundle, table, out, part_rows=32, engine=engine, opener=full_disk)
        else:
            predict_table(bundle, table, out, part_rows=32, opener=full_disk)

    real = Ledger.store
    try:
        with pytest.raises(DataError) as caught:
            run()
    finally:
        Ledger.store = real  # type: ignore[method-assign]
    assert str(caught.value) == (
        f"{out}: the answers cannot be written: No space left on device\n"
        "  fix: make room on that disk and run the same command again: finished parts are kept"
    )
    assert not out.exists()
    assert kept_rows(out) == 64
    assert predict_table(bundle, table, out, part_rows=32).resumed == 64


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out"])
def test_a_disk_that_refuses_the_output_keeps_finished_parts(
    bundle: Bundle, tmp_path: Path, table_of: Tables, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    table, out = table_of(200), tmp_path / name

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        told = rf"{name}: the answers cannot be written: No space"
        with pytest.raises(DataError, match=told):
            predict_table(bundle, table, out, part_rows=32)
    assert not out.exists()
    kept = kept_rows(out)  # of a folder the parts go to the disk while later ones are answered
    assert 0 < kept <= 200 if name == "out" else kept == 200
    assert predict_table(bundle, table, out, part_rows=32).resumed == kept
    read = pl.read_csv if name == "out.csv" else pl.read_parquet
    found = read(out / "*.parquet" if name == "out" else out)
    assert found["row_id"].to_list() == list(range(200))


def test_lines_go_on_behind_those_that_were_joined(
    bundle: Bundle, tmp_path: Path, table_of: Tables, stopped: Callable[..., None]
) -> None:
    table, out, whole = table_of(200), tmp_path / "out.csv", tmp_path / "whole.csv"
    predict_table(bundle, table, whole, part_rows=32)
    for done in (1, 3, 5):
        stopped(done, bundle, table, out, part_rows=32)
        assert kept_rows(out) == 32 * done
        (joined,) = work_folder(out).glob("*/joined")
        assert whole.read_bytes().startswith(joined.read_bytes())
        with joined.open("ab") as file:
            file.write(b"half a part, of which nobody was tol")
        assert not list(work_folder(out).glob("*/*.answers"))
    assert predict_table(bundle, table, out, part_rows=32).resumed == 160
    assert out.read_bytes() == whole.read_bytes()
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("broken", ["joined", "cut", "record", "gone"])
def test_lines_that_are_damaged_are_done_again_with_all_behind_them(
    bundle: Bundle, tmp_path: Path, table_of: Tables, stopped: Callable[..., None], broken: str
) -> None:
    table, out, whole = table_of(200), tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    predict_table(bundle, table, whole, part_rows=32)
    stopped(5, bundle, table, out, part_rows=32)
    (joined,) = work_folder(out).glob("*/joined")
    data, at = joined.read_bytes(), len(b"".join(whole.read_bytes().splitlines(True)[:70]))
    if broken == "joined":
        joined.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    elif broken == "cut":
        joined.write_bytes(data[:at])
    elif broken == "record":
        (joined.parent / "00000002.json").write_bytes(b"{")
    else:
        joined.unlink()
    kept = 0 if broken == "gone" else 64
    assert predict_table(bundle, table, out, part_rows=32).resumed == kept
    assert out.read_bytes() == whole.read_bytes()


def test_lines_begun_on_an_engine_are_finished_here_and_the_other_way_round(
    bundle: Bundle, tmp_path: Path, table_of: Tables, stopped: Callable[..., None]
) -> None:
    table, whole = table_of(200), tmp_path / "whole.csv"
    predict_table(bundle, table, whole, part_rows=32)
    for parts in (2, 4):
        out = tmp_path / f"out{parts}.csv"
        stopped(parts, bundle, table, out, part_rows=32)
        summary = predict_table(bundle, table, out, part_rows=32, engine="inline")
        assert (summary.resumed, out.read_bytes()) == (32 * parts, whole.read_bytes())
    real = Ledger.joined
    out = tmp_path / "out.csv"
    with pytest.MonkeyPatch.context() as patch:
        # A folder where the joined file should be: workers' parts stay files of their own.
        patch.setattr(Ledger, "joined", property(lambda self: self.folder.parent))
        with pytest.raises(DataError, match="the answers cannot be written"):
            predict_table(bundle, table, out, part_rows=32, engine="inline")
    assert Ledger.joined is real
    kept = kept_rows(out)
    assert kept > 0
    assert len(list(work_folder(out).glob("*/*.answers"))) == -(-kept // 32)
    assert predict_table(bundle, table, out, part_rows=32).resumed == kept
    assert out.read_bytes() == whole.read_bytes()


def full_disk(folder: Path) -> object:
    """Open the bundle in a process whose disk takes two parts."""
    from gristmill.serve.runners.opening import open_runner

    real = Ledger.store

    def store(self: Ledger, number: int, *arguments: object, **options: object) -> object:
        if number >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        return real(self, number, *arguments, **options)  # type: ignore[arg-type]

    ledger.Ledger.store = store  # type: ignore[method-assign,assignment]
    return open_runner(folder)


RUN = """
import sys, time
from pathlib import Path
import numpy as np
from gristmill.serve.offline.table_prediction import predict_table
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import Bundle

class Slow:
    # Answers without torch, which would take longer to load than all the rest; notes what it does.
    name, classes, outputs = "slow", ("ham", "spam"), ()
    def __init__(self, folder):
        bundle = Bundle.open(folder)
        self.fingerprint, self.inputs = bundle.fingerprint, tuple(bundle.signature.inputs)
    def work(self, rows):
        return np.array([float(len(text)) for text in rows["text"]])
    def __call__(self, rows):
        with open(sys.argv[4], "a") as log:
            log.write("".join(f"{text.split()[-1]}\\n" for text in rows["text"]))
        time.sleep(0.01)
        prob = np.array([1 / (1 + len(text)) for text in rows["text"]])
        probs = np.stack([prob, 1 - prob], axis=1)
        labels = ["ham" if p > 0.5 else "spam" for p in prob]
        return Rows({"label": labels, "prob": probs.max(axis=1), "probs": probs})

summary = predict_table(*sys.argv[1:4], part_rows=20, opener=Slow, quarantine=sys.argv[5])
"""


class Killing:
    """Runs a prediction in processes that are killed, and looks at what they leave."""

    def __init__(self, bundle: Bundle, data: Path, out: Path) -> None:
        self.out, self.bad, self.log = out, out.with_name("bad.jsonl"), out.with_name("log")
        self.arguments = [str(bundle.folder), str(data), str(out), str(self.log), str(self.bad)]

    def start(self) -> subprocess.Popen[bytes]:
        self.log.write_text("")
        return subprocess.Popen([sys.executable, "-c", RUN, *self.arguments],
                                stderr=subprocess.DEVNULL)  # fmt: skip

    def done(self) -> set[int]:
        work = work_folder(self.out)
        if self.out.suffix == ".csv" and not list(work.glob("*/joined")):
            return (
                set()
            )  # lines lie in that file until it is the output: then there is nothing left to do
        return {int(path.stem) for path in work.glob("*/*.json")}

    def answered(self) -> set[int]:
        return {int(row) // PART_ROWS for row in self.log.read_text().split()}

    def read(self) -> list[bytes]:
        files = sorted(self.out.iterdir()) if self.out.is_dir() else [self.out]
        return [path.read_bytes() for path in [*files, self.bad]]

    def kill_at_random(self, draw: random.Random, longest: float) -> bool:
        """Start, kill after a random time, and tell whether it had ended before."""
        before = self.done()
        process = self.start()
        try:
            process.wait(draw.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        code = process.wait(PATIENCE_SECONDS)
        assert code in (0, -signal.SIGKILL)
        assert not self.answered() & before
        return code == 0


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("out.parquet", 3),
        ("out.csv", 2),
        pytest.param("out.parquet", 8, marks=pytest.mark.slow),
        pytest.param("out", 8, marks=pytest.mark.slow),
        pytest.param("out.csv", 8, marks=pytest.mark.slow),
    ],
)
def test_kills_at_random_moments_change_no_byte(
    bundle: Bundle, tmp_path: Path, table_of: Tables, name: str, kills: int
) -> None:
    data = tmp_path / "data.parquet"
    table = table_of(ROWS)
    table = table.with_columns(pl.when(pl.int_range(ROWS) % 50 != 7).then("text").alias("text"))
    table.write_parquet(data, row_group_size=70)
    run = Killing(bundle, data, tmp_path / name)
    began = time.monotonic()
    assert run.start().wait(PATIENCE_SECONDS) == 0
    longest = time.monotonic() - began
    expected, draw = run.read(), random.Random(kills)
    while kills:
        began = time.monotonic()
        if run.kill_at_random(draw, longest):
            longest = 0.8 * min(longest, time.monotonic() - began)  # the machine is less busy now
            assert run.read() == expected
            assert left_behind(tmp_path) == []
        else:
            kills -= 1
    assert run.start().wait(PATIENCE_SECONDS) == 0
    assert run.read() == expected
    assert left_behind(tmp_path) == []
