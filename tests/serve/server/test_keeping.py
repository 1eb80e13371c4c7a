"""Servers that keep what they predict, and are told later what was true."""

import asyncio
import json
import os
import signal
import time

import pytest
from tests.patience import patient

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve import Refusal, kept_predictions, served_folder, tell_truths
from gristmill.serve.protocols.served import Served
from gristmill.serve.routing.kept import Kept
from gristmill.serve.server.app import App
from gristmill.serve.server.composing import composed
from gristmill.serve.server.keeping import kept
from gristmill.serve.server.model_plan import KeepPlan, ModelPlan
from gristmill.serve.server.process import ServerProcess, running_server
from gristmill.serve.server.route_plans import CanaryPlan, SelectionPlan
from gristmill.serve.server.serving_plan import ServingPlan
from gristmill.serve.server.settings import Settings
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.prediction_log import FLUSH_SECONDS
from gristmill.store.bundle import Field

RECORD = {"text": "see you"}


@pytest.fixture
def settings(tmp_path):
    folder = str(tmp_path / "served")
    return Settings(watch_folder=folder, keep=Keeping(), watch=False, limits=patient())


@pytest.fixture
def kept_app(endpoint, settings):
    """An application of the parity endpoint whose predictions are kept, by the user's order."""
    settings = Settings(watch_folder=settings.watch_folder, keep=Keeping(key="order"))
    endpoint = kept(endpoint, settings)
    yield App([Served(endpoint, settings.limits)])
    asyncio.run(endpoint.close())


def test_nothing_is_kept_unless_it_is_wanted(endpoint, settings, tmp_path):
    assert kept(endpoint, Settings()) is endpoint
    with pytest.raises(UsageError, match="expected a folder to keep predictions in"):
        kept(endpoint, Settings(keep=Keeping()))
    endpoint.inputs = (*endpoint.inputs, Field("price", "float"))
    with pytest.raises(UsageError, match="key: expected a field of texts or integers, found float"):
        kept(endpoint, Settings(keep=Keeping(key="price"), watch_folder=str(tmp_path)))
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="predictions cannot be kept"):
        kept(endpoint, Settings(keep=Keeping(), watch_folder=str(tmp_path / "file")))


def test_an_answer_gives_the_name_that_its_truth_is_told_by(ask, kept_app, tmp_path):
    records = [{"text": "a", "order": "o-1"}, {"text": "bc"}]
    answer = ask(kept_app, "POST", "/v1/predict", json={"instances": records}).json()
    names = [each["id"] for each in answer["predictions"]]
    path = "/v1/models/parity/feedback"
    body = {"prediction_id": names[1], "label": "odd", "who": "anna", "correction": True}
    assert ask(kept_app, "POST", path, json=body).json()["status"] == "joined"
    again = ask(kept_app, "POST", path, json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "repeated_feedback")
    body = {"feedback": [{"prediction_id": each, "label": "even"} for each in ("o-1", "nobody")]}
    assert ask(kept_app, "POST", path, json=body).json()["counts"] == {"joined": 1, "unknown": 1}
    one, two = kept_predictions(served_folder(tmp_path / "served", "parity"))
    assert [one.name, two.name] == names
    assert (one.truth, two.truth, two.who, two.correction) == ("even", "odd", "anna", True)
    assert path in ask(kept_app, "GET", "/openapi.json").json()["paths"]
    assert (
        'gristmill_told_truths_total{model="parity",status="joined"} 2'
        in ask(kept_app, "GET", "/metrics").text
    )


def test_the_id_of_open_inference_is_a_key_and_the_name_a_parameter(ask, kept_app, tmp_path):
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    body = {"id": "order-7", "inputs": [tensor]}
    answer = ask(kept_app, "POST", "/v2/models/parity/infer", json=body).json()
    assert answer["id"] == "order-7"
    path = "/v1/models/parity/feedback"
    for name in ("order-7", answer["parameters"]["prediction"] + "-0"):
        told = {"prediction_id": name, "label": "odd", "who": name}
        assert ask(kept_app, "POST", path, json=told).status_code == 200
    csv = ask(kept_app, "POST", "/v1/predict", json={"text": "a"}, headers={"Accept": "text/csv"})
    assert csv.text.splitlines()[1].startswith(csv.headers["x-gristmill-prediction"] + "-0,")
    kept_app.first.endpoint.predictions.flush()
    one, _ = kept_predictions(served_folder(tmp_path / "served", "parity"))
    assert (one.key, one.truth) == ("order-7", "odd")


def test_a_model_that_keeps_nothing_says_so(ask, app):
    body = {"feedback": [{"prediction_id": "p", "label": "x"}]}
    answer = ask(app, "POST", "/v1/models/parity/feedback", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_feedback")
    assert "keep_predictions" in answer.json()["error"]["fix"]


def test_a_serving_file_says_of_what_how_much_is_kept(twins, tmp_path):
    how = KeepPlan(rate=1.0, key="order", bytes="1MB", age="7d", without=("text",))
    plan = ServingPlan(
        models={
            "ham": ModelPlan(bundle=str(twins / "ham"), keep_predictions=how),
            "spam": ModelPlan(bundle=str(twins / "spam"), hidden=True),
        },
        routes={
            "canary": CanaryPlan(models=("ham", "spam"), share=1.0, keep_predictions=0.5),
            "best": SelectionPlan(models=("ham", "spam"), keep_predictions=True),
        },
        folder=str(tmp_path / "serving"),
        origin="s.toml",
    ).checked()

    async def run():
        async with composed(plan, Settings(watch=False)) as made:
            return {each.name: each.endpoint for each in made.served}

    found = asyncio.run(run())
    assert {name: type(each) for name, each in found.items()} == dict.fromkeys(found, Kept)
    assert found["ham"].predictions.keeping == Keeping(
        key="order", max_bytes=1_000_000, max_age=7 * 86400.0, without=("text",)
    )
    assert found["canary"].predictions.keeping.rate == 0.5
    assert found["ham"].predictions.folder == tmp_path / "serving" / "served" / "ham"


def test_a_policy_learns_from_the_truth_of_a_kept_prediction(twins, tmp_path, ask):
    plan = ServingPlan(
        models={name: ModelPlan(bundle=str(twins / name), hidden=True) for name in ("ham", "spam")},
        routes={"best": SelectionPlan(models=("ham", "spam"), keep_predictions=True)},
        folder=str(tmp_path / "serving"),
        origin="s.toml",
    ).checked()

    async def run():
        async with composed(plan, Settings(watch=False)) as made:
            app = App(made.served)
            (route,) = made.served
            answer = await asyncio.to_thread(ask, app, "POST", "/v1/predict", json=RECORD)
            name = answer.json()["predictions"][0]["id"]
            told = {"prediction_id": name, "label": "ham"}
            path = "/v1/models/best/feedback"
            answer = await asyncio.to_thread(ask, app, "POST", path, json=told)
            return answer.json()["status"], route.endpoint.members[0].feedback.counts["joined"]

    assert asyncio.run(run()) == ("joined", 1)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (ModelPlan(bundle="b", keep_predictions=0.0), "expected a share above 0"),
        (ModelPlan(bundle="b", keep_predictions=2.0), "expected a share above 0"),
        (ModelPlan(bundle="b", keep_predictions=KeepPlan(age="0s")), "max_age must be above 0"),
        (ModelPlan(bundle="b", keep_predictions=KeepPlan(bytes="x")), "expected a size"),
        (ModelPlan(bundle="b", hidden=True, keep_predictions=True), "nobody asks a hidden model"),
    ],
)
def test_mistakes_in_what_is_kept(plan, message):
    with pytest.raises(UsageError, match=message):
        plan.check()


def test_false_keeps_nothing_where_the_server_keeps_all():
    common = Settings(keep=Keeping(), watch_folder="w")
    assert ModelPlan(bundle="b", keep_predictions=False).settings(common).keep is None
    assert ModelPlan(bundle="b").settings(common).keep == Keeping()


def test_what_was_predicted_before_a_kill_is_told_of_weeks_later(spam_bundle, settings, tmp_path):
    folder = served_folder(settings.watch_folder, "spam")
    server = ServerProcess.start(spam_bundle.folder, settings)
    try:
        answers = server.client.predict([RECORD, {"text": "win a prize"}], "spam")
        while len(list(kept_predictions(folder))) < len(answers):
            time.sleep(FLUSH_SECONDS / 10)
        os.kill(server.pid, signal.SIGKILL)
    finally:
        server.stop()
    assert tell_truths(folder, {answers[0].id: "ham"}, who="a table").counts == {"joined": 1}
    told = {"prediction_id": answers[0].id, "label": "ham", "who": "a table"}
    with running_server(spam_bundle.folder, settings) as again:
        client, names = again.client, [each.id for each in answers]
        assert client.tell("spam", dict.fromkeys(names, "spam")) == {"joined": 2}
        with pytest.raises(Refusal) as caught:
            client.request("POST", "/v1/models/spam/feedback", json.dumps(told).encode())
    assert caught.value.status == 409
    found = list(kept_predictions(folder))
    assert [each.name for each in found] == [each.id for each in answers]
    assert [(each.truth, each.who) for each in found] == [("spam", None), ("spam", None)]
    assert {each.version for each in found} == {spam_bundle.fingerprint}


def test_servers_beside_each_other_take_truths_of_each_others_predictions(
    ask, make_served, settings
):
    apps = []
    for _ in range(2):
        endpoint = kept(make_served().endpoint, settings)
        apps.append(App([Served(endpoint, settings.limits)]))
    one, two = apps
    path = "/v1/models/parity/feedback"
    name = ask(one, "POST", "/v1/predict", json={"text": "a"}).json()["predictions"][0]["id"]
    headers = {"X-Request-Id": "order-7"}
    ask(two, "POST", "/v1/predict", json={"text": "b"}, headers=headers)
    asyncio.run(two.close())
    # What the other process has not written yet is known by its name, which cannot be made up.
    pieces = [{"prediction_id": each, "label": "odd"} for each in (name, "order-7", name)]
    counts = ask(one, "POST", path, json={"feedback": pieces}).json()["counts"]
    assert counts == {"joined": 2, "repeated": 1}
    asyncio.run(one.close())
    found = list(kept_predictions(served_folder(settings.watch_folder, "parity")))
    assert [(each.inputs["text"], each.truth) for each in found] == [("a", "odd"), ("b", "odd")]


def test_a_model_of_tensors_takes_a_key_beside_them(ask, make_served, settings):
    inner = make_served("vector").endpoint
    how = Settings(watch_folder=settings.watch_folder, keep=Keeping(key="order"))
    endpoint = kept(inner, how)
    app = App([Served(endpoint, how.limits)])
    (field,) = inner.inputs
    width = field.elements
    x = {"name": field.name, "datatype": "FP32", "shape": [2, width], "data": [1.0] * 2 * width}
    order = {"name": "order", "datatype": "BYTES", "shape": [2], "data": ["o-1", "o-2"]}
    for inputs in ([x], [x, order]):
        answer = ask(app, "POST", "/v2/models/vector/infer", json={"id": "r", "inputs": inputs})
        assert answer.status_code == 200, answer.text
    record = {field.name: [1.0] * width, "order": "o-3"}
    assert ask(app, "POST", "/v1/predict", json=record).status_code == 200
    asyncio.run(endpoint.close())
    found = list(kept_predictions(served_folder(settings.watch_folder, "vector")))
    assert [each.key for each in found] == ["r-0", "r-1", "o-1", "o-2", "o-3"]
    assert all(each.inputs[field.name].tolist() == [1.0] * width for each in found)
