"""Routes over real models: swapped and rolled back under load, selected and told over HTTP."""

import asyncio
import time

import msgspec
import pytest
from tests.patience import patient

from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import ThreadReplica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.protocols.served import Served
from gristmill.serve.routing.selected import Selected
from gristmill.serve.routing.swappable import Swappable, warm_with
from gristmill.serve.routing.watched import Watched
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.server.app import App
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.statistician import Compared


@pytest.fixture
def model(spam_bundle):
    def model():
        runner = open_runner(spam_bundle)
        return ModelEndpoint(runner, [ThreadReplica(runner)], limits=patient())

    return model


def test_no_request_fails_while_models_are_swapped_and_rolled_back(model):
    rows = Rows({"text": ["free prize", "see you"]})

    async def run():
        route = Swappable("spam", model(), "v0", warm=warm_with(rows))
        answers, done = [], False

        async def client():
            while not done:
                call = Call(request_id="r", deadline=time.monotonic() + 60.0)
                answers.append((await route.answer(rows, call)).rows["label"])

        async def more():
            before = len(answers)
            while len(answers) < before + 12:
                await asyncio.sleep(0.001)

        clients = [asyncio.ensure_future(client()) for _ in range(6)]
        for number in range(1, 5):
            await route.swap(model(), f"v{number}")
            await more()
            await route.roll_back()
            await more()
        done = True
        await asyncio.gather(*clients)
        await route.close()
        return answers, route.swaps

    answers, swaps = asyncio.run(run())
    assert swaps == 8
    assert len(answers) >= 8 * 12
    assert all(each == answers[0] for each in answers)


class Lengths:
    """Statistics are a number of rows."""

    def profile(self, columns):
        return len(columns["text"])

    def compare(self, statistics):
        return Compared([], [])


def test_feedback_and_drift_over_http(model, ask, tmp_path):
    members = [Swappable(name, model()) for name in ("one", "other")]
    log = FeedbackLog(tmp_path / "log", policy_named("thompson", 2), ["one", "other"])
    watch = DriftWatch("spam", ServedProfile(Lengths()))
    route = Watched(Selected("spam", members, log), watch)
    app = App([Served(route, patient())])
    answered = ask(app, "POST", "/v1/predict", json={"instances": [{"text": "hi"}] * 2})
    assert answered.status_code == 200, answered.text
    name = log.awaiting.next - 1
    ids = [each["id"] for each in answered.json()["predictions"]]
    assert [log._ids.read(each) for each in ids] == [(name, 0), (name, 1)]
    pieces = [{"prediction_id": each, "label": "spam"} for each in [*ids, ids[0]]]
    told = ask(app, "POST", "/v1/feedback", json={"feedback": pieces})
    assert told.json()["counts"] == {"joined": 2, "repeated": 1}
    drift = msgspec.json.decode(ask(app, "GET", "/v1/drift").content)["drift"]
    assert [each["model"] for each in drift] == ["spam"]
    page = ask(app, "GET", "/metrics").text
    assert 'gristmill_feedback_total{route="spam",status="joined"} 2' in page
    assert 'gristmill_served_rows_total{model="spam"}' in page
    log.close()
