"""Plans opened in this process: what answers, what is said of it, what does not fit."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from gristmill.core.errors import BundleError, GristmillError, ServeError, StoreError, UsageError
from gristmill.serve.online.endpoint import Call
from gristmill.serve.routing.canary import Canary
from gristmill.serve.routing.ensemble import Ensemble
from gristmill.serve.routing.selected import Selected
from gristmill.serve.routing.shadow import Shadow
from gristmill.serve.runners.rows import Rows
from gristmill.serve.selection.hedge import Hedge
from gristmill.serve.server.composing import composed
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.route_plans import (
    CanaryPlan,
    EnsemblePlan,
    FieldContext,
    SelectionPlan,
    ShadowPlan,
)
from gristmill.serve.server.serving_plan import ServingPlan
from gristmill.serve.server.settings import Settings
from gristmill.store.bundle import Field

BOTH = ("ham", "spam")


@pytest.fixture
def plan(twins, tmp_path):
    """plan(routes, **models): a checked plan over `ham` and `spam` and what else is named."""

    def plan(routes, **models):
        named = {name: ModelPlan(bundle=str(twins / name)) for name in BOTH}
        return ServingPlan(
            models=named | models,
            routes=routes,
            folder=str(tmp_path / "serving"),
            origin="s.toml",
        ).checked()

    return plan


@pytest.fixture
def ask():
    """ask(endpoint, user=""): the label that it gives one text."""

    async def ask(endpoint, user="", name="r"):
        call = Call(request_id=name, deadline=time.monotonic() + 20.0, user=user)
        return (await endpoint.answer(Rows({"text": ["hi"]}), call)).rows["label"][0]

    return ask


def run(plan, use):
    """Return what `use(served by name)` returns."""

    async def main():
        async with composed(plan, Settings()) as made:
            return await use({served.name: served for served in made.served})

    return asyncio.run(main())


def refused(plan):
    with pytest.raises(GristmillError) as caught:
        run(plan, None)
    return caught.value


def test_every_kind_of_route(plan, ask, tmp_path):
    routes = {
        "some": CanaryPlan(models=BOTH, share=1.0),
        "beside": ShadowPlan(models=BOTH),
        "all": EnsemblePlan(models=("spam", "some"), how="vote"),
        "best": SelectionPlan(models=BOTH, policy={"name": "hedge", "eta": 0.5}, context="user"),
    }

    async def use(served):
        assert list(served) == [*routes, *BOTH]
        ends = {name: each.endpoint for name, each in served.items()}
        kinds = [type(ends[name]) for name in routes]
        labels = [await ask(ends[name]) for name in ("some", "beside", "all", "ham", "spam")]
        assert await ask(ends["best"]) in BOTH
        return kinds, labels, ends["best"].feedback.policy, ends["beside"].says()

    kinds, labels, policy, says = run(plan(routes), use)
    assert kinds == [Canary, Shadow, Ensemble, Selected]
    assert labels == ["spam", "ham", "spam", "ham", "spam"]
    assert policy == Hedge(2, eta=0.5)
    assert says == "shadow: ham, spam beside"
    kept = {str(path.relative_to(tmp_path / "serving")) for path in tmp_path.rglob("*.*")}
    assert {"routes/best/00000001.log", "server.lock"} <= kept


def test_a_field_of_the_requests_tells_the_context(plan, constant, tmp_path):
    country = Field("country", "string", required=False)
    for says in BOTH:
        constant(tmp_path / says, says, more=[country])
    models = {name: ModelPlan(bundle=str(tmp_path / name)) for name in BOTH}
    by_country = SelectionPlan(models=BOTH, context=FieldContext("country"))

    async def use(served):
        endpoint = served["r"].endpoint
        for where in ("de", "fr", None):
            call = Call(request_id="r", deadline=time.monotonic() + 20.0)
            await endpoint.answer(Rows({"text": ["hi"], "country": [where]}), call)
        return list(endpoint.feedback.learner.contexts)

    assert run(plan({"r": by_country}, **models), use) == ["de", "fr", ""]
    unknown = SelectionPlan(models=BOTH, context=FieldContext("contry"))
    error = refused(plan({"r": unknown}, **models))
    assert error.message == "context: its models read no field 'contry' of few values"
    assert error.fix == "fields that can be a context: text, country"


def test_users_stay_on_their_side_over_a_restart(plan, ask):
    routes = {"r": CanaryPlan(models=BOTH, share=0.5)}

    async def use(served):
        return [await ask(served["r"].endpoint, user=f"user{number}") for number in range(40)]

    first = run(plan(routes), use)
    assert run(plan(routes), use) == first
    assert set(first) == set(BOTH)


def test_a_route_may_stand_on_one_that_is_written_later(plan, ask):
    routes = {
        "outer": CanaryPlan(models=("ham", "inner"), share=1.0),
        "inner": CanaryPlan(models=BOTH, share=1.0),
    }

    async def use(served):
        return await ask(served["outer"].endpoint), [each.decides for each in served.values()]

    label, decides = run(plan(routes), use)
    assert label == "spam"
    assert decides == [True, False, False, False]


def test_a_hidden_model_answers_behind_its_route_alone(plan, ask, twins):
    hidden = ModelPlan(bundle=str(twins / "spam"), hidden=True)
    routes = {"r": CanaryPlan(models=("ham", "third"), share=1.0)}

    async def use(served):
        return list(served), await ask(served["r"].endpoint)

    assert run(plan(routes, third=hidden), use) == (["r", "ham", "spam"], "spam")


def test_models_that_do_not_fit_together(plan, constant, tmp_path):
    constant(tmp_path / "other", "no", classes=("no", "yes"))
    constant(tmp_path / "notes", more=[Field("count", "int", required=False)])
    other = ModelPlan(bundle=str(tmp_path / "other"))
    error = refused(plan({"r": EnsemblePlan(models=("ham", "other"))}, other=other))
    assert isinstance(error, ServeError)
    assert error.where == "s.toml, [routes.r]"
    assert error.message == "'other' knows classes no, yes, but 'ham' ham, spam"
    other = ModelPlan(bundle=str(tmp_path / "notes"))
    error = refused(plan({"r": EnsemblePlan(models=("ham", "other"))}, other=other))
    assert error.message == (
        "'other' has inputs count (int optional), text (string), but 'ham' text (string)"
    )


def test_a_missing_bundle_and_a_wrong_output(plan, tmp_path):
    error = refused(plan({}, other=ModelPlan(bundle=str(tmp_path / "none"))))
    assert isinstance(error, BundleError)
    assert error.where == f"s.toml, [models.other]: {tmp_path / 'none'}"
    error = refused(plan({"r": SelectionPlan(models=BOTH, answer="lable")}))
    assert isinstance(error, UsageError)
    assert error.message == "answer: its models have no output 'lable'"


def test_a_key_that_was_cut(plan, tmp_path):
    folder = tmp_path / "serving" / "routes" / "r"
    folder.mkdir(parents=True)
    (folder / "key").write_bytes(b"short")
    error = refused(plan({"r": CanaryPlan(models=BOTH, share=0.5)}))
    assert isinstance(error, StoreError)
    assert error.fix == "remove it: users are then dealt out anew"


def test_all_is_closed_when_something_fails_and_when_the_block_ends(plan, monkeypatch, tmp_path):
    closed = []

    class Known(Canary):
        async def close(self):
            closed.append(self.name)
            await super().close()

    monkeypatch.setattr("gristmill.serve.server.composing.Canary", Known)
    routes = {
        "a": CanaryPlan(models=BOTH, share=0.5),
        "b": SelectionPlan(models=("ham", "a"), answer="lable"),
    }
    refused(plan(routes))
    assert closed == ["a"]
    # Nobody holds the folder any more, nor a log in it.
    routes["b"] = SelectionPlan(models=("ham", "a"))

    @asynccontextmanager
    async def twice():
        async with composed(plan(routes), Settings()):
            yield

    async def main():
        for _ in range(2):
            async with twice():
                pass

    asyncio.run(main())
    assert closed == ["a"] + ["a", "a"] * 2


def test_a_model_that_cannot_be_put_behind_its_name_is_closed(plan, monkeypatch):
    closed = []

    async def close(self):
        closed.append(self.name)

    def fail(*_, **__):
        raise GristmillError("no")

    monkeypatch.setattr("gristmill.serve.online.model_endpoint.ModelEndpoint.close", close)
    monkeypatch.setattr("gristmill.serve.server.composing.Served", fail)
    assert refused(plan({})).message == "no"
    assert closed == ["ham"]
