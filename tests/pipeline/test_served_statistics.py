"""What a bundle says of its training data, compared with what is served."""

import asyncio
from types import SimpleNamespace

import msgspec
import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import BundleError
from gristmill.pipeline.bundle_profile import training_profile
from gristmill.pipeline.lean_statistics import shipped
from gristmill.pipeline.served_statistics import LEAST_ROWS, ServedStatistics
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.store.bundle import Bundle
from gristmill.validate import Schema, profile


def table(rows, seed, shift=0.0, word="word"):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 12, rows)
    return {
        "age": generator.normal(40 + shift, 10, rows),
        "visits": generator.poisson(3, rows),
        "country": generator.choice(["de", "fr", "it"], rows, p=[0.5, 0.3, 0.2]).tolist(),
        "note": [f"{word} {generator.integers(100, 1000)} " * k for k in lengths.tolist()],
    }


COLUMNS = ["age", "visits", "country", "note"]


@pytest.fixture(scope="module")
def trained():
    return shipped(profile(pl.DataFrame(table(4000, 1))))


@pytest.fixture
def bundle(tmp_path):
    """A bundle of files alone: what is opened here is only read."""
    from gristmill.core.fingerprint import fingerprint_bytes
    from gristmill.store.bundle_files import entry_of

    answers = {"label": ["ham"] * 700 + ["spam"] * 300, "prob": np.linspace(0.5, 1, 1000).tolist()}
    made = training_profile(pl.DataFrame(table(4000, 1)), COLUMNS, answers=answers)
    folder = tmp_path / "bundle"
    for name, data in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    manifest = SimpleNamespace(files={name: entry_of(data) for name, data in made.items()})
    return Bundle(folder, manifest, fingerprint_bytes(b""))


def compared(statistician, columns):
    return statistician.compare(statistician.profile(columns))


def alarms(found):
    return {each.feature: each.over for each in found.distances if each.alarm}


def answered(columns, spam=0.3, seed=9):
    generator = np.random.default_rng(seed)
    rows = len(columns["note"])
    return columns | {
        "prediction.label": np.where(generator.random(rows) < spam, "spam", "ham").tolist(),
        "prediction.prob": generator.uniform(0.5, 1, rows),
    }


@pytest.mark.parametrize("rows", [200, 1500, 20_000])
@pytest.mark.parametrize("seed", [2, 3])
def test_data_like_those_of_training_raise_no_alarm(bundle, rows, seed):
    found = compared(ServedStatistics.of(bundle), answered(table(rows, seed), seed=seed))
    assert found.changes == []
    assert {each.feature for each in found.distances} == {
        *COLUMNS,
        "prediction.label",
        "prediction.prob",
    }
    assert alarms(found) == {}
    assert found.rows == rows


def test_data_that_have_moved_do(bundle):
    statistician = ServedStatistics.of(bundle)
    found = compared(statistician, table(1500, 3, shift=15))
    assert alarms(found) == {"age": "numbers"}
    assert [(each.code, each.feature) for each in found.changes] == [("drift", "age")]
    shouted = table(1500, 3, word="WORD")
    assert set(alarms(compared(statistician, shouted))) == {"note"}
    texts = table(1500, 3)
    texts["note"] = [text * 3 for text in texts["note"]]
    assert alarms(compared(statistician, texts)) == {"note": "lengths"}


def test_answers_of_another_kind_do(bundle):
    found = compared(ServedStatistics.of(bundle), answered(table(1500, 3), spam=0.7))
    assert alarms(found) == {"prediction.label": "values"}


def test_of_few_rows_nothing_is_told(bundle):
    columns = {"note": ["HELLO"] * (LEAST_ROWS - 1)}
    found = compared(ServedStatistics.of(bundle), columns)
    assert (found.distances, found.changes, found.rows) == ([], [], LEAST_ROWS - 1)
    assert alarms(compared(ServedStatistics.of(bundle), {"note": ["HELLO"] * LEAST_ROWS}))


def test_columns_that_training_did_not_have_are_not_looked_at(trained):
    columns = table(1500, 2) | {"prediction.label": ["a"] * 1500}
    statistician = ServedStatistics(None, trained)
    assert set(statistician.profile(columns).features) == set(COLUMNS)
    assert compared(statistician, columns).changes == []


def test_a_category_that_training_did_not_have_is_told_by_name(bundle):
    columns = table(500, 2)
    columns["country"] = ["xx"] * 500
    found = compared(ServedStatistics.of(bundle), columns)
    codes = {each.code for each in found.changes if each.feature == "country"}
    assert "unseen_value" in codes
    assert any("'xx'" in each.message for each in found.changes)


def test_whole_floats_are_the_integers_that_were_learned_from(bundle):
    columns = table(500, 2)
    columns["visits"] = columns["visits"].astype(np.float64)
    assert compared(ServedStatistics.of(bundle), columns).changes == []


def test_a_file_that_was_changed_is_refused(bundle):
    (bundle.folder / "schema.toml").write_text("")
    with pytest.raises(BundleError):
        ServedStatistics.of(bundle)


def test_a_schema_alone_is_held_to(bundle):
    del bundle.manifest.files["profile/statistics.json"]
    statistician = ServedStatistics.of(bundle)
    assert statistician.baseline is None
    found = compared(statistician, table(500, 2) | {"country": ["xx", "de"] * 250})
    assert [(each.code, each.feature) for each in found.changes] == [("unseen_value", "country")]
    assert found.distances == []


def test_a_schema_says_what_distance_matters(trained):
    schema = Schema.infer(trained)
    age = msgspec.structs.replace(schema.features["age"], drift=0.9, max=None, min=None)
    lenient = msgspec.structs.replace(schema, features={**schema.features, "age": age})
    statistician = ServedStatistics(lenient, trained)
    assert alarms(compared(statistician, table(1500, 3, shift=15))) == {}


def test_without_anything_to_compare_with_nothing_is_told():
    statistician = ServedStatistics()
    assert compared(statistician, {"x": [1, 2, None]}).distances == []


def test_statistics_are_kept_and_add_up(trained, tmp_path):
    def clock():
        return 1_700_000_000.0

    async def run():
        statistician = ServedStatistics(None, trained)
        watch = DriftWatch("m", ServedProfile(statistician, tmp_path, clock=clock))
        for seed in (5, 6):
            columns = table(400, seed, shift=15)
            watch.observe(Rows(columns), Rows({"prob": np.zeros(400)}))
            await watch.round()
        assert watch.failures == 0
        return watch.report()

    report = asyncio.run(run())
    assert (report.profiled, report.compared, report.alarms) == (800, 800, 1)
    again = ServedProfile(ServedStatistics(None, trained), tmp_path, clock=clock).recent(1)
    assert again.rows == 800
    assert again.features["note"].text.cells == 800
