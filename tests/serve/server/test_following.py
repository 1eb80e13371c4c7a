"""A model that comes from a registry: opened, followed, and what is said where there is none."""

import asyncio
import time

import pytest

from gristmill.core.errors import BundleError, ServeError, StoreError, UsageError
from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import InlineReplica
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server.following import open_followed
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.settings import Settings
from gristmill.serve.watch.statistician import statisticians
from gristmill.store.bundle import Bundle
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    with Project(tmp_path / "project") as made:
        Registry(made).models()  # makes the database
        yield made


@pytest.fixture
def register(project, twins):
    """register(says): register a bundle, and return its version."""

    def register(says, model="mail"):
        digest = RunLog(project).keep(Bundle.open(twins / says)).digest
        return Registry(project).register(model, digest).version

    return register


def promote(project, version):
    Registry(project).decide("mail", version, "promote", ["better"])


def opened(project, use=None, model="mail", settings=None):
    plan = ModelPlan(registry=model, project=str(project.root), every=0.01)

    async def main():
        opened = await open_followed("live", plan, settings or Settings())
        try:
            return await use(opened.endpoint) if use else opened.endpoint.about()
        finally:
            await opened.endpoint.close()

    return asyncio.run(main())


def test_what_is_promoted_answers_and_what_is_damaged_does_not(project, register, twins):
    first, second = register("ham"), register("spam")
    promote(project, first)

    async def use(route):
        seen = [route.about()]
        promote(project, second)
        while route.version != "v2":
            await asyncio.sleep(0.005)
        seen.append(route.fingerprint)
        promote(project, first)
        while route.version != "v1":
            await asyncio.sleep(0.005)
        figures = {sample.name: sample.value for sample in route.samples()}
        assert figures["gristmill_registry_failures_total"] == 0
        assert figures["gristmill_route_swaps_total"] == 2
        return seen

    about, fingerprint = opened(project, use)
    assert about == {
        "kind": "registry",
        "models": ["mail"],
        "version": "v1",
        "says": "registry: v1 of mail, its champion",
    }
    assert fingerprint == Bundle.open(twins / "spam").fingerprint


def test_a_version_that_answers_something_else_is_not_taken(
    project, register, constant, tmp_path, caplog
):
    promote(project, register("ham"))
    other = constant(tmp_path / "other", "no", classes=("no", "yes"))
    version = Registry(project).register("mail", RunLog(project).keep(other).digest).version

    async def use(route):
        promote(project, version)
        while not route._watcher.failures:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        return route.version, route._watcher.failures, route.failed_swaps

    with caplog.at_level("WARNING", "gristmill.serve"):
        assert opened(project, use) == ("v1", 1, 1)
    assert "route live goes on as it is" in caplog.text


class Nothing:
    """Statistics of nothing."""

    def profile(self, columns):
        return 0

    def add(self, one, two):
        return 0

    def save(self, statistics, folder):
        pass


class Housed:
    """A model as if it ran in processes of its own; `started` has all, `ended` those that ended."""

    def __init__(self, bundle):
        self._runner = open_runner(bundle)
        self.replicas = [InlineReplica(self._runner)]

    def __getattr__(self, name):
        return getattr(self._runner, name)

    async def close(self, seconds):
        self.ended.append(self.fingerprint)


@pytest.fixture
def housed(monkeypatch):
    Housed.started, Housed.ended = [], []

    async def start(bundle, count, **_):
        Housed.started.append(bundle.fingerprint)
        return Housed(bundle)

    monkeypatch.setattr("gristmill.serve.replicas.replica_set.ReplicaSet.start", start)
    return Housed


def test_a_version_whose_statistics_cannot_be_kept_leaves_no_process_behind(
    project, register, twins, tmp_path, caplog, housed
):
    promote(project, register("ham"))
    second = register("spam")
    new = Bundle.open(twins / "spam").fingerprint
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / f"live-{new[:12]}").write_text("")  # where its folder would be

    async def use(route):
        promote(project, second)
        while not route._watcher.failures:
            await asyncio.sleep(0.005)
        call = Call(request_id="r", deadline=time.monotonic() + 60.0)
        answered = await route.answer(Rows({"text": ["hi"]}), call)
        return route.version, answered.rows["label"]

    settings = Settings(replicas=1, watch_folder=str(kept))
    with statisticians(lambda _: Nothing()), caplog.at_level("WARNING", "gristmill.serve"):
        assert opened(project, use, settings=settings) == ("v1", ["ham"])
    assert (len(housed.started), housed.ended) == (2, [new])
    (said,) = [each for each in caplog.messages if "goes on as it is" in each]
    assert f"{kept / f'live-{new[:12]}'}: what is served cannot be kept: File exists" in said
    assert "--watch-folder" in said


def test_nothing_to_follow(project, register):
    with pytest.raises(UsageError) as caught:
        opened(project)
    assert caught.value.message == "no model 'mail' is registered"
    assert caught.value.fix == "register a bundle first"
    register("ham")
    register("spam")
    with pytest.raises(UsageError) as caught:
        opened(project, model="mial")
    assert caught.value.fix == "did you mean 'mail'?"
    with pytest.raises(ServeError) as caught:
        opened(project)
    assert caught.value.message == "none of the 2 versions of 'mail' is its champion"
    assert caught.value.fix == "promote one: gristmill promote mail 2"


def test_a_damaged_bundle_and_no_project(project, register, tmp_path):
    promote(project, register("ham"))
    artifact = project.artifacts.get(Registry(project).live("mail").artifact)
    (artifact / "graph.json").write_bytes(b"{}")
    with pytest.raises(BundleError):
        opened(project)
    plan = ModelPlan(registry="mail", project=str(tmp_path / "none"))
    with pytest.raises(UsageError, match="project: there is no folder"):
        asyncio.run(open_followed("live", plan, Settings()))
    plan = ModelPlan(registry="mail", project=str(tmp_path))
    with pytest.raises(StoreError, match="no project here or in any folder above"):
        asyncio.run(open_followed("live", plan, Settings()))
