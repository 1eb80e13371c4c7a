import asyncio
import shutil

import pytest

from gristmill.core.errors import BundleError
from gristmill.serve.routing.registry_watcher import RegistryWatcher
from gristmill.serve.routing.swappable import Swappable
from gristmill.store.bundle import Bundle
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog


@pytest.fixture
def project(tmp_path):
    with Project(tmp_path) as project:
        yield project


@pytest.fixture
def register(project, spam_bundle, tmp_path):
    """register(mark): a version of the model `spam`, promoted; `mark` makes it differ."""

    def register(mark, damaged=False):
        folder = tmp_path / f"bundle{mark}"
        shutil.copytree(spam_bundle.folder, folder)
        manifest = (folder / "manifest.json").read_bytes()
        changed = manifest.replace(b'"name": "spam"', b'"name": "spam%d"' % mark)
        (folder / "manifest.json").write_bytes(changed)
        digest = RunLog(project).keep(Bundle.open(folder)).digest
        if damaged:
            (project.artifacts.get(digest) / "graph.json").write_bytes(b"{}")
        version = Registry(project).register("spam", digest)
        Registry(project).decide("spam", version.version, "promote", ["better"])
        return version.version

    return register


@pytest.fixture
def watch(project, endpoint):
    """watch(route): a watcher whose endpoints are named by their bundles."""

    async def opened(bundle):
        return endpoint(bundle.name)

    return lambda route, every=0.25, **options: RegistryWatcher(
        project, "spam", route, opened, every=every, **options
    )


def test_the_route_follows_what_is_promoted(endpoint, register, watch):
    async def run():
        route = Swappable("r", endpoint("spam0"), "v0")
        watcher = watch(route)
        seen = [await watcher.look()]
        for mark in (1, 2):
            register(mark)
            seen += [await watcher.look(), await watcher.look(), route.version]
        return seen

    assert asyncio.run(run()) == [False, True, False, "v1", True, False, "v2"]


def test_promoting_the_earlier_one_again_goes_back_without_reading_it(
    endpoint, project, register, watch
):
    async def run():
        route = Swappable("r", endpoint("spam0"), "v0")
        watcher = watch(route)
        for mark in (1, 2):
            register(mark)
            await watcher.look()
        shutil.rmtree(project.home / "artifacts")
        Registry(project).decide("spam", 1, "promote", ["v2 is worse"])
        return await watcher.look(), route.version

    assert asyncio.run(run()) == (True, "v1")


def test_a_damaged_version_is_refused_once_and_the_old_one_goes_on(endpoint, register, watch):
    async def run():
        route = Swappable("r", endpoint("spam0"), "v0")
        watcher = watch(route)
        register(1, damaged=True)
        with pytest.raises(BundleError):
            await watcher.look()
        again = await watcher.look()
        register(2)
        return again, route.version, await watcher.look(), route.version

    assert asyncio.run(run()) == (False, "v0", True, "v2")


def test_a_refused_version_is_tried_again_more_and_more_seldom(
    endpoint, project, register, watch, tmp_path
):
    now = 0.0

    async def run():
        nonlocal now
        route = Swappable("r", endpoint("spam0"), "v0")
        watcher = watch(route, clock=lambda: now)
        register(1, damaged=True)
        tried = []
        for second in range(0, 400, 10):
            now = float(second)
            try:
                assert not await watcher.look()
            except BundleError:
                tried.append(second)
        (graph,) = (project.home / "artifacts").rglob("graph.json")
        graph.write_bytes((tmp_path / "bundle1" / "graph.json").read_bytes())
        now = 10_000.0
        return tried, await watcher.look(), route.version

    assert asyncio.run(run()) == ([0, 30, 90, 210], True, "v1")


def test_it_looks_by_itself_and_survives_a_failure(endpoint, register, watch, page):
    async def run():
        route = Swappable("r", endpoint("spam0"), "v0")
        watcher = watch(route, every=0.01)
        watcher.start()
        register(1, damaged=True)
        while not watcher.failures:
            await asyncio.sleep(0.01)
        register(2)
        while route.version != "v2":
            await asyncio.sleep(0.01)
        await watcher.stop()
        return page(watcher), len(asyncio.all_tasks())

    assert asyncio.run(run()) == ({"gristmill_registry_failures_total{r,spam}": 1}, 1)
