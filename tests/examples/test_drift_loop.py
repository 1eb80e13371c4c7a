"""The loop's example on tables made up here; no data set is fetched."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from gristmill.cli.main import run as command_line
from gristmill.core.errors import UsageError
from gristmill.core.paired import figure_of
from gristmill.pipeline import Rehearsal
from gristmill.pipeline.load import import_file, load_pipeline
from gristmill.serve import Prediction, Rows, tell_truths
from gristmill.serve.watch.prediction_log import PredictionLog

FOLDER = Path(__file__).parents[2] / "examples" / "drift_loop"
PROJECT = FOLDER / "project"
OWN = {path.stem for path in FOLDER.rglob("*.py")}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the example, and forget it afterwards."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(PROJECT), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("DRIFT_LOOP_CLOCK", "")
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return import_file(FOLDER / f"{name}.py")

    yield load
    for name in OWN & (set(sys.modules) - before):
        del sys.modules[name]


def accidents(rows: int, years: int, *, turned: int | None = None, seed: int = 0) -> pl.DataFrame:
    """Make a table with the columns of the real one.

    It is the miles that decide. From the year `turned` on all is further north, where fewer miles
    are worse.
    """
    draw = np.random.default_rng(seed)
    year = np.repeat(np.arange(2016, 2016 + years), rows)
    after = (year >= turned) if turned is not None else np.zeros(len(year), bool)
    miles = draw.normal(3, 1, len(year)).round(1)
    way = np.where(after, -3, 3)
    severe = draw.random(len(year)) < 1 / (1 + np.exp(way * (3 - miles)))
    latitude = draw.uniform(30, 45, len(year)) + np.where(after, 20, 0)
    return pl.DataFrame(
        {
            "Start_Lat": latitude.round(1),
            "Start_Lng": draw.uniform(-120, -70, len(year)).round(1),
            "Distance(mi)": miles,
            "Temperature(F)": draw.normal(60, 15, len(year)).round(),
            "Humidity(%)": draw.uniform(10, 100, len(year)).round(),
            "Visibility(mi)": draw.choice([2.5, 5.0, 10.0], len(year)),
            "day_of_week_acc": draw.integers(0, 7, len(year)),
            "Nautical_Twilight": draw.choice(["Day", "Night"], len(year)),
            "season_acc": draw.choice(["winter", "spring", "summer", "autumn"], len(year)),
            "target": severe.astype(np.int64),
            "year_acc": year,
        }
    )


def test_a_stream_is_every_whole_row_once_its_years_in_order(example: Any) -> None:
    streams = example("streams")
    table = accidents(90, 3).with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise("Humidity(%)")
        .alias("Humidity(%)")
    )  # fmt: skip
    stream = streams.accidents_stream(table.sample(fraction=1, shuffle=True, seed=1), None, 2, 0)
    assert [period.name for period in stream.periods] == [
        "2017 1/2",
        "2017 2/2",
        "2018 1/2",
        "2018 2/2",
    ]
    assert [period.middle.year for period in stream.periods] == [2017, 2017, 2018, 2018]
    assert stream.left_out == 27
    assert stream.history.height == 81
    # A row is told from others by where it was: no two are at one place.
    whole = table.drop_nulls()
    for year, parts in ((2016, [stream.history]), (2017, [p.rows for p in stream.periods[:2]])):
        found = pl.concat(parts).sort("latitude", "longitude")
        wanted = whole.filter(pl.col("year_acc") == year).sort("Start_Lat", "Start_Lng")
        assert found["miles"].to_list() == wanted["Distance(mi)"].to_list()
        assert (found["label"] == "yes").cast(pl.Int64).to_list() == wanted["target"].to_list()
    fewer = streams.accidents_stream(table, 10, 2, 0)
    assert [period.rows.height for period in fewer.periods] == [10] * 4


def test_the_census_is_read_as_numbers(example: Any) -> None:
    streams = example("streams")
    columns = {name: ["1", "12"] * 4 for name in streams._CENSUS}
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Categorical)).with_columns(
        pl.Series("AGEP", [40.0, 62.0] * 4),
        employed=pl.int_range(pl.len()) % 2,
        year=2015 + pl.int_range(pl.len()) // 4,
    )
    stream = streams.census_stream(table, None, 1, 0)
    assert stream.history.schema["SCHL"] == stream.history.schema["AGEP"] == pl.Int64
    (period,) = stream.periods
    assert sorted(period.rows.select("AGEP", "RELP", "label").rows()) == [
        (40, 1, "no"), (40, 1, "no"), (62, 12, "yes"), (62, 12, "yes"),
    ]  # fmt: skip


def test_figures_are_those_of_the_gate_and_a_constant_saves_nothing(example: Any) -> None:
    figures = example("figures")
    draw = np.random.default_rng(0)
    truth = (draw.random(500) < 0.2).astype(np.int64)
    said = np.clip(truth * 0.3 + draw.random(500) * 0.5, 0.01, 0.99)
    found = figures.quality(truth, said)
    always = np.full(500, truth.mean())
    saved = figure_of("log_loss", truth, always) - figure_of("log_loss", truth, said)
    assert found.auc.value == pytest.approx(figure_of("auc", truth, said))
    assert found.saved.value == pytest.approx(saved)
    assert 0 < found.auc.half < 0.1
    base = figures.quality(truth, always)
    assert (base.auc.value, base.saved.value) == pytest.approx((0.5, 0.0))
    assert figures.quality(np.zeros(5, np.int64), np.full(5, 0.1)).auc is None


def test_the_network_reads_codes_as_codes_and_knows_no_new_ones(example: Any) -> None:
    example("streams")
    import torch

    network = import_file(PROJECT / "learning.py").TableNetwork
    inputs = np.array([[0.5, 1], [1.5, 2], [2.5, 7], [3.5, 1]], np.float32)
    made = network(inputs).eval()
    assert made.values.tolist() == [1, 2, 7]
    far, further = torch.tensor([[1.0, 8.0]]), torch.tensor([[1.0, 70.0]])
    assert torch.equal(made(far), made(further))
    assert not torch.equal(made(far), made(torch.tensor([[1.0, 7.0]])))


def test_processes_live_by_the_replay_s_clock(example: Any, tmp_path: Path) -> None:
    clock = example("shifted_time").ShiftedTime(tmp_path / "clock.bin")
    clock.set(dt.datetime(2017, 6, 1, tzinfo=dt.UTC))
    clock.for_children()
    script = "import time; print(time.strftime('%Y-%m', time.gmtime(time.time())))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2017-06\n"
    assert dt.datetime.now(dt.UTC).year == dt.datetime.fromtimestamp(time.time(), dt.UTC).year


def test_the_pipeline_keeps_judged_rows_from_training(example: Any) -> None:
    example("streams")
    pipeline = load_pipeline(PROJECT / "pipeline.py")
    assert "gate" in pipeline.upstream(["released"])
    assert set(pipeline.upstream(["candidate"])) >= {"labelled", "parts"}
    parts = import_file(PROJECT / "pipeline.py").parts
    table = pl.DataFrame({"row_id": range(400), "label": "no"})
    found = parts(table)
    assert found["learn"].join(found["judge"], on="row_id").is_empty()
    assert found["learn"].height + found["judge"].height == 400


def test_a_folder_is_of_one_replay(example: Any, tmp_path: Path) -> None:
    replay, streams = example("replay"), example("streams")
    (tmp_path / "replay.json").write_text('{"stream":"acs","rows":9,"parts":1,"late":0,"seed":0}')
    stream = streams.accidents_stream(accidents(20, 2), None, 1, 0)
    what = replay.What("us_accidents", 0, 1, 0, 0)
    with pytest.raises(UsageError, match="holds another replay"):
        replay.Replay(stream, what, tmp_path).run()


class Users:
    """Stands for the server: answers rows, and notes what it is asked and told."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.told: list[str] = []

    def predict(self, rows: list[dict[str, Any]], model: str) -> list[Prediction]:
        self.asked += [int(row["id"]) for row in rows]
        return [Prediction("", "yes", 0.9, {"no": 0.1, "yes": 0.9}) for _ in rows]

    def tell(self, model: str, truths: dict[str, str]) -> dict[str, int]:
        assert model == "live"
        self.told += truths
        return {"joined": len(truths)}


def test_traffic_goes_on_where_the_server_s_files_end(example: Any, tmp_path: Path) -> None:
    streams, traffic = example("streams"), example("traffic")
    stream = streams.accidents_stream(accidents(150, 2), None, 2, 0)
    keys = [str(150 + number) for number in range(120)]  # behind those of the history
    rows = Rows({"miles": np.zeros(120)}, 120)
    answers = Rows({"label": ["no"] * 120, "probs": np.tile([0.7, 0.3], (120, 1))}, 120)
    with PredictionLog(tmp_path, classes=("no", "yes")) as log:
        log.note(log.name("v1"), "v1", rows, answers, keys)
    tell_truths(tmp_path, dict.fromkeys(keys[:30], "no"))
    users, going_on = Users(), traffic.Traffic(stream, tmp_path, 20)
    assert going_on.live(users, 100, 150).tolist() == [0.3] * 20 + [0.9] * 30
    assert users.asked == list(range(270, 300))
    going_on.tell(users)
    assert users.told == [str(number) for number in range(180, 280)]
    assert len(going_on.first(users, 0, 150)) == len(users.asked) - 30 == 150


@pytest.fixture
def at_the_prompt(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the replay call commands in this process, where all is loaded, and rehearse nothing."""
    shift, real = example("shifted_time"), time.time

    def call(self: Any, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        (ahead,) = struct.unpack("<d", self.clock.file.read_bytes())
        said = io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(said):
            patch.chdir(self.folder)
            patch.setattr(time, "time", lambda: real() + ahead)
            assert command_line(arguments) in accept
        return said.getvalue()

    monkeypatch.setattr(shift, "time", SimpleNamespace(time=real))
    monkeypatch.setattr(example("replay").Replay, "_call", call)
    passed = Rehearsal(1, [])
    monkeypatch.setattr("gristmill.pipeline.releasing.promotion.rehearse", lambda *_, **__: passed)


def test_the_loop_mends_what_drift_breaks(
    example: Any,
    at_the_prompt: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("replay", "streams", "figures", "picture")
    replay, streams, figures, picture = map(example, names)
    stream = streams.accidents_stream(accidents(900, 2, turned=2017), 450, 2, 0)
    what = replay.What("us_accidents", 450, 2, 50, 0)
    once = iter([replay.Replay._look, lambda *_: figures.Look(2, [], "none", [], "", 2)])
    monkeypatch.setattr(replay.Replay, "_look", lambda *given: next(once)(*given))
    rows = replay.Replay(stream, what, tmp_path).run()
    before, after = rows
    assert "quality_loss" in before.look.findings
    assert (before.look.outcome, before.look.now) == ("promoted", 2)
    assert before.with_loop == before.without
    assert after.with_loop.auc.value > 0.7 > 0.3 > after.without.auc.value
    assert after.with_loop.saved.value > 0 > after.without.saved.value
    assert replay.Replay(stream, what, tmp_path).run() == rows  # all is there already
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("2017 1/2") == 2
    page = picture.write_page(tmp_path / "report.html", "made up", stream, rows).read_text()
    assert "<svg" in page
    assert "version 2 answers from here on" in page
