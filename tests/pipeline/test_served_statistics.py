"""What a bundle says of its training data, compared with what is served."""

import asyncio

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import BundleError
from gristmill.pipeline.served_statistics import ServedStatistics
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.store.bundle import Bundle
from gristmill.validate import Schema, profile


def table(rows, seed, shift=0.0, label=True):
    generator = np.random.default_rng(seed)
    columns = {
        "age": generator.normal(40 + shift, 10, rows),
        "country": generator.choice(["de", "fr", "it"], rows, p=[0.5, 0.3, 0.2]).tolist(),
    }
    return columns | ({"label": generator.choice(["a", "b"], rows).tolist()} if label else {})


@pytest.fixture(scope="module")
def trained():
    return profile(pl.DataFrame(table(4000, 1)))


@pytest.fixture
def bundle(trained, tmp_path):
    """A bundle of files alone: what is opened here is only read."""
    from gristmill.core.fingerprint import fingerprint_bytes
    from gristmill.store.bundle_files import entry_of

    folder = tmp_path / "bundle"
    (folder / "profile").mkdir(parents=True)
    trained.save(folder / "profile")
    Schema.infer(trained).save(folder)
    files = {
        path.relative_to(folder).as_posix(): entry_of(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }

    class Manifest:
        pass

    Manifest.files = files
    return Bundle(folder, Manifest, fingerprint_bytes(b""))


def compared(statistician, columns):
    return statistician.compare(statistician.profile(columns))


def test_data_like_those_of_training_raise_no_alarm(trained):
    found = compared(ServedStatistics(None, trained), table(1500, 2, label=False))
    assert found.changes == []
    assert {each.feature for each in found.distances} == {"age", "country"}
    assert not any(each.alarm for each in found.distances)


def test_data_that_have_moved_do(trained):
    found = compared(ServedStatistics(None, trained), table(1500, 3, shift=15, label=False))
    assert {each.feature for each in found.distances if each.alarm} == {"age"}
    assert "drift" in {each.code for each in found.changes if each.feature == "age"}


def test_the_label_is_not_missed_and_predictions_are_no_news(trained):
    columns = table(1500, 2, label=False) | {"prediction.label": ["a"] * 1500}
    assert compared(ServedStatistics(None, trained), columns).changes == []


def test_a_bundle_brings_its_schema_and_profile(bundle):
    statistician = ServedStatistics.of(bundle)
    assert statistician.baseline.rows == 4000
    columns = table(500, 2, label=False)
    columns["country"] = ["xx"] * 500
    codes = {each.code for each in compared(statistician, columns).changes}
    assert "unseen_value" in codes


def test_a_file_that_was_changed_is_refused(bundle):
    (bundle.folder / "schema.toml").write_text("")
    with pytest.raises(BundleError):
        ServedStatistics.of(bundle)


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
            columns = table(800, seed, shift=15, label=False)
            watch.observe(Rows(columns), Rows({"prob": np.zeros(800)}))
            await watch.round(save=True)
        assert watch.failures == 0
        return watch.report()

    report = asyncio.run(run())
    assert (report.profiled, report.alarms) == (1600, 1)
    again = ServedProfile(ServedStatistics(None, trained), tmp_path, clock=clock).recent(1)
    assert again.rows == 1600
    assert again.features["prediction.prob"].rows == 1600
