"""Which models are watched, and where what they served is kept."""

import asyncio
from types import SimpleNamespace

import pytest

from gristmill.core.errors import BundleError, DataError, ServeError
from gristmill.serve.routing.watched import Watched
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.watching import watched
from gristmill.serve.watch.statistician import Compared, statistician_of, statisticians

BUNDLE = SimpleNamespace(fingerprint="0123456789abcdef" * 2)


class Rows:
    """Statistics are a number of rows."""

    def profile(self, columns):
        return len(columns["text"])

    def add(self, one, two):
        return one + two

    def save(self, statistics, folder):
        (folder / "rows").write_text(str(statistics))

    def load(self, folder):
        return int((folder / "rows").read_text())

    def compare(self, statistics):
        return Compared([], [], statistics)


def opened(endpoint, settings=None, find=lambda _: Rows()):
    with statisticians(find):
        return watched(endpoint, BUNDLE, settings or Settings())


def test_a_model_is_watched_where_somebody_knows_its_training_data(endpoint):
    found = opened(endpoint)
    assert isinstance(found, Watched)
    assert found.watch.model == "parity"
    assert found.watch.profile.folder is None
    assert opened(endpoint, find=lambda _: None) is endpoint
    assert opened(endpoint, find=None) is endpoint
    assert opened(endpoint, Settings(watch=False)) is endpoint
    assert statistician_of(BUNDLE) is None


def test_what_was_served_is_kept_by_model_and_bundle(endpoint, tmp_path):
    endpoint.name = "../a b"
    settings = Settings(watch_folder=str(tmp_path))

    async def run():
        route = opened(endpoint, settings)
        answers = await route.answer(_rows("hello", "you"), SimpleNamespace())
        await route.close()
        return answers

    asyncio.run(run())
    (kept,) = tmp_path.rglob("rows")
    assert kept.read_text() == "2"
    assert kept.parts[-4] == "..%2Fa%20b-0123456789ab"
    again = opened(endpoint, settings)
    assert again.watch.profile.recent(24) == 2
    asyncio.run(again.close())


def test_a_bundle_whose_profile_cannot_be_read_is_served_all_the_same(endpoint, caplog):
    def find(_):
        raise DataError("expected statistics of format 2, found format 3", where="b/profile")

    assert opened(endpoint, find=find) is endpoint
    assert caplog.messages == [
        "parity is not watched: b/profile: expected statistics of format 2, found format 3"
    ]


def test_a_bundle_that_was_changed_is_not(endpoint):
    def find(_):
        raise BundleError("changed")

    with pytest.raises(BundleError):
        opened(endpoint, find=find)


def test_a_folder_that_cannot_be_written_is_an_error(endpoint, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="what is served cannot be kept: Not a directory") as error:
        opened(endpoint, Settings(watch_folder=str(tmp_path / "file")))
    assert "--no-watch" in error.value.fix


def _rows(*texts):
    from gristmill.serve.runners.rows import Rows as Columns

    return Columns({"text": list(texts)})
