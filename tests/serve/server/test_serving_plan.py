"""What can be served, and what is said of what cannot."""

import msgspec
import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.protocol import Limits
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.process import Launch
from gristmill.serve.server.route_plans import (
    CanaryPlan,
    EnsemblePlan,
    SelectionPlan,
    ShadowPlan,
)
from gristmill.serve.server.serving_plan import ServingPlan, plan_of
from gristmill.serve.server.settings import Settings

A = ModelPlan(bundle="x")
TWO = {"a": A, "b": A}


def refused(models, routes=None, origin="s.toml"):
    with pytest.raises(UsageError) as caught:
        ServingPlan(models=models, routes=routes or {}, origin=origin).checked()
    return caught.value.where, caught.value.message, caught.value.fix


def test_what_serve_is_given(spam_bundle, tmp_path):
    assert plan_of("bundles/x").models == {"": ModelPlan(bundle="bundles/x")}
    assert plan_of(spam_bundle).models == {"": ModelPlan(bundle=str(spam_bundle.folder))}
    assert plan_of("registry:spam").models == {"spam": ModelPlan(registry="spam")}
    plan = plan_of({"one": "registry:spam", "two": "x"})
    assert plan.models == {"one": ModelPlan(registry="spam"), "two": A}
    assert plan_of(plan) == plan
    with pytest.raises(UsageError, match="expected registry:MODEL or registry:MODEL@ALIAS"):
        plan_of("registry:")
    with pytest.raises(UsageError, match="found it beside other sources"):
        plan_of({"": "s.toml", "b": "x"})
    file = tmp_path / "s.toml"
    file.write_text('[models.a]\nbundle = "x"')
    assert plan_of(file) == plan_of({"": str(file)})


def test_models():
    assert refused({"a": ModelPlan()}) == (
        "s.toml, [models.a]",
        "expected either bundle or registry, found neither",
        'say bundle = "FOLDER", or registry = "MODEL" of a project',
    )
    assert refused({"a": ModelPlan(bundle="x", registry="y")})[1].endswith("found both")
    assert (
        refused({"a": ModelPlan(bundle="x", every="0s")})[1] == "expected every above 0, found 0s"
    )
    assert refused({"a": ModelPlan(bundle="x", threads=0)})[1] == "threads must be above 0, found 0"
    assert refused({"a": ModelPlan(bundle="x", cache="big")})[0] == "s.toml, [models.a]"
    assert refused({"a": ModelPlan(bundle="x", deadline="0s")})[1] == (
        "deadline must be above 0, found 0.0"
    )
    assert refused({"a/b": A})[1] == "'a/b' cannot be part of a path"
    assert refused({"": A, "b": A}, origin="")[1] == "'' cannot be part of a path"
    assert refused({"..": A}, origin="")[0] == "model '..'"
    assert refused({"a": ModelPlan(bundle="x", hidden=True)})[1] == (
        "hidden: no route asks this model, so nobody could"
    )


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (CanaryPlan(models=("a",), share=0.1), "expected 2 models, found a"),
        (ShadowPlan(models=("a", "b", "c")), "expected 2 models, found a, b, c"),
        (EnsemblePlan(models=()), "expected 2 or more models, found none"),
        (EnsemblePlan(models=("a", "a")), "expected each model once, found a, a"),
        (CanaryPlan(models=("a", "b"), share=1.5), "expected a share in [0, 1], found 1.5"),
        (ShadowPlan(models=("a", "b"), share=-1.0), "expected a share in [0, 1], found -1"),
        (ShadowPlan(models=("a", "b"), timeout=0), "expected timeout above 0, found 0"),
        (
            ShadowPlan(models=("a", "b"), most_copies=0),
            "expected most_copies of at least 1, found 0",
        ),
        (EnsemblePlan(models=("a", "b"), at_least=3), "expected at_least of 1 to 2, found 3"),
        (EnsemblePlan(models=("a", "b"), margin=-1), "expected margin of at least 0, found -1"),
        (
            SelectionPlan(models=("a", "b"), policy="ucb"),
            "expected a policy of thompson, exp3, exp4, hedge, epsilon_greedy, fixed, found 'ucb'",
        ),
        (
            SelectionPlan(models=("a", "b"), policy={"name": "exp3", "speed": 1}),
            "policy 'exp3' has no option 'speed'",
        ),
        (
            SelectionPlan(models=("a", "b"), policy={"eta": 1}),
            "policy: expected its name, found none",
        ),
        (
            SelectionPlan(models=("a", "b"), context="country"),
            """context: expected "user", "none" or a field, found 'country'""",
        ),
        (
            SelectionPlan(models=("a", "b"), contexts=0),
            "expected contexts of at least 1, found 0",
        ),
        (
            SelectionPlan(models=("a", "b"), loss="absolute", scale=0.0),
            "expected scale above 0, found 0",
        ),
        (SelectionPlan(models=("a", "b"), waiting=0), "capacity must be above 0, found 0"),
    ],
)
def test_routes(route, message):
    where, found, _ = refused(TWO, {"r": route})
    assert (where, found) == ("s.toml, [routes.r]", message)


def test_names():
    over = EnsemblePlan(models=("a", "b"))
    assert refused(TWO, {"a": over})[1] == "a model and a route have the name 'a'"
    assert refused(TWO, {"r": EnsemblePlan(models=("a", "stabel"))}) == (
        "s.toml, [routes.r]",
        "models: there is no model or route 'stabel'",
        "it may name a, b",
    )
    near = refused({"stable": A, "b": A}, {"r": EnsemblePlan(models=("b", "stabel"))})
    assert near[2] == "did you mean 'stable'?"


def test_circles():
    routes = {
        "r": EnsemblePlan(models=("a", "s")),
        "s": EnsemblePlan(models=("b", "t")),
        "t": EnsemblePlan(models=("a", "s")),
    }
    assert refused(TWO, routes)[:2] == (
        "s.toml, [routes.s]",
        "models: routes go in a circle: s -> t -> s",
    )
    routes["t"] = EnsemblePlan(models=("a", "b"))
    assert ServingPlan(models=TWO, routes=routes).checked().members() == {"a", "b", "s", "t"}


def test_settings_of_its_own():
    common = Settings(limits=Limits(deadline=1.0), replicas=1, cache=5)
    own = ModelPlan(bundle="x", cache="1KB", replicas=0, deadline="90s", schema="off")
    assert own.settings(common) == Settings(
        limits=Limits(deadline=90.0, max_deadline=90.0), cache=1000, schema="off"
    )
    assert A.settings(common) == common
    route = EnsemblePlan(models=("a", "b"), deadline=0.5)
    assert route.settings(common).limits.deadline == 0.5


def test_a_plan_can_be_sent_to_a_process():
    routes = {
        "r": CanaryPlan(models=("a", "b"), share=0.1),
        "s": SelectionPlan(models=("a", "r"), policy={"name": "exp3", "eta": 0.2}),
        "t": EnsemblePlan(models=("a", "s"), deadline="50ms"),
    }
    launch = Launch({}, Settings(), ServingPlan(models=TWO, routes=routes, origin="s.toml"))
    assert msgspec.json.decode(msgspec.json.encode(launch), type=Launch) == launch


def test_bounds_of_the_log():
    route = SelectionPlan(models=("a", "b"), log="1MB", max_age="2h", waiting=10)
    limits = route.log_limits()
    assert (limits.max_bytes, limits.segment_bytes) == (1_000_000, 250_000)
    assert (limits.max_age, limits.capacity) == (7200.0, 10)
