"""From training to an alarm: a model that says what it was trained on, served and asked."""

import asyncio
import json
import random
import time
from urllib.request import urlopen

import msgspec
import polars as pl
import pytest
from click.testing import CliRunner
from tests.patience import patient

from gristmill.cli.serve import command
from gristmill.cli.server_process import bundle_statistician
from gristmill.serve import Settings, running_server
from gristmill.serve.routing.watched import drift
from gristmill.serve.server import lifecycle
from gristmill.serve.server.opening import open_model
from gristmill.serve.watch.statistician import statistician_of, statisticians

HAM = ("see you at home", "are you coming for dinner", "sorry, stuck at work", "can you call me")
SPAM = ("win a prize now, call 0900", "free entry, txt win to 80086", "claim your 1000 pounds")
FILLER = ["the", "a", "of", "in", "on", "my", "your", "this", "that", "dear", "mate"]


def message(draw):
    spam = draw.random() < 0.3
    words = draw.choices(FILLER, k=draw.randint(0, 10))
    return " ".join([draw.choice(SPAM if spam else HAM), *words]), "spam" if spam else "ham"


def messages(rows, seed):
    draw = random.Random(seed)
    return [message(draw) for _ in range(rows)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model trained as a pipeline does, with its profile."""
    from gristmill import train
    from gristmill.pipeline import answers_of, training_profile

    table = pl.DataFrame(messages(1500, 1), schema=["text", "label"], orient="row")
    featurizer, classes = train.text_featurizer("linear"), ["ham", "spam"]
    examples = train.Examples.from_table(table, "label", featurizer, classes)
    spec = train.ModelSpec.for_text("linear", featurizer, classes)
    fitted = train.fit(spec, examples, classes=classes, epochs=2, validation=0.3, seed=0)
    probs = fitted.predict_probs(examples.hold_out(0.3, 0)[1])
    profile = training_profile(table, featurizer, answers=answers_of(probs, classes))
    folder = tmp_path_factory.mktemp("bundles") / "spam"
    return fitted.bundle(folder, name="spam", featurizer=featurizer, extra_files=profile)


def ask(server, texts):
    for start in range(0, len(texts), 250):
        server.client.predict([{"text": text} for text in texts[start : start + 250]])


def report(server, served):
    """Return the report once it is of so many rows: it is made anew at most once a second."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with urlopen(f"{server.url}/v1/drift") as answer:
            (found,) = json.load(answer)["drift"]
        if found["served"] == served:
            return found
        time.sleep(0.2)
    raise AssertionError(found)


def alarms(found):
    return {each["feature"] for each in found["distances"] if each["alarm"]}


def test_requests_like_the_training_data_raise_no_alarm_and_others_do(bundle, tmp_path):
    settings = Settings(watch_folder=str(tmp_path), limits=patient())
    like = [text for text, _ in messages(3000, 2)]
    with running_server(bundle.folder, settings) as server:
        assert report(server, 0)["compared"] == 0
        ask(server, like)
        found = report(server, 3000)
        assert found["compared"] >= 512
        assert {each["feature"] for each in found["distances"]} == {
            "text",
            "prediction.label",
            "prediction.prob",
        }
        assert (alarms(found), found["changes"]) == (set(), [])
        # The same words in capitals: the model reads them alike, so only the input drifts.
        ask(server, [text.upper() for text in like])
        found = report(server, 6000)
        assert (alarms(found), found["alarms"]) == ({"text"}, 1)
        assert [(each["code"], each["feature"]) for each in found["changes"]] == [("drift", "text")]
        with urlopen(f"{server.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        assert 'gristmill_drift_alarm{model="spam",feature="text"} 1' in lines
        assert 'gristmill_drift_alarm{model="spam",feature="prediction.label"} 0' in lines
    again = restarted(bundle, settings)
    assert (again["served"], again["compared"]) == (0, found["compared"])
    assert alarms(again) == {"text"}


def restarted(bundle, settings):
    """Return the report of a server that has only just begun."""

    async def run():
        with statisticians(bundle_statistician):
            opened = open_model("", bundle, settings)
        body = await drift([opened.endpoint])
        await opened.endpoint.close()
        return msgspec.json.decode(body)["drift"][0]

    return asyncio.run(run())


def test_the_command_watches_unless_it_is_told_not_to(bundle, monkeypatch):
    calls = []

    def serve(sources, settings, *, announce):
        calls.append((settings.watch, settings.watch_folder, statistician_of(bundle)))

    monkeypatch.setattr(lifecycle, "serve", serve)
    for options in ([], ["--no-watch"], ["--watch-folder", "kept"]):
        assert CliRunner().invoke(command, [str(bundle.folder), *options]).exit_code == 0
    assert [call[:2] for call in calls] == [(True, ""), (False, ""), (True, "kept")]
    assert all(call[2] is not None for call in calls)
    assert statistician_of(bundle) is None


def test_a_bundle_without_a_profile_is_not_watched(bundle, tmp_path):
    from gristmill.store.bundle import write_bundle

    made = write_bundle(
        tmp_path / "bare",
        name="bare",
        classes=bundle.classes,
        signature=bundle.signature,
        featurizer=bundle.featurizer(),
        graph=bundle.graph(),
        weights=bundle.weights(),
    )
    assert bundle_statistician(made) is None
    assert bundle_statistician(bundle).baseline.rows == 1500
