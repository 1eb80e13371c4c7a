import signal
import threading

import pytest
from tests.patience import PATIENCE_SECONDS, patient, web

from gristmill.core.errors import BundleError, ServeError, UsageError
from gristmill.serve.runners.loaded import LoadedRunner
from gristmill.serve.server import lifecycle
from gristmill.serve.server.lifecycle import app_from_bundle, serve
from gristmill.serve.server.listener import listen
from gristmill.serve.server.settings import Settings

STOPS = "(Ctrl-C stops)"


def test_serves_until_the_signal_and_leaves_the_handlers_as_they_were(spam_bundle):
    seen = []

    def announce(ready):
        seen.append(ready)
        signal.raise_signal(signal.SIGINT)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    serve(spam_bundle.folder, announce=announce)
    (ready,) = seen
    (model,) = ready.models
    assert (model.name, model.classes) == ("spam", ("ham", "spam"))
    assert model.fingerprint == spam_bundle.fingerprint
    assert model.rows_per_second > 0
    assert model.p50_ms > 0
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    with listen("127.0.0.1", int(ready.url.rsplit(":", 1)[1])):
        pass  # the port is free again


def test_prints_one_line_by_default(spam_bundle, monkeypatch, capsys):
    printed = lifecycle._print
    monkeypatch.setattr(
        lifecycle, "_print", lambda ready: (printed(ready), signal.raise_signal(signal.SIGTERM))
    )
    serve(spam_bundle)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"serving spam ({spam_bundle.fingerprint[:8]}, 2 classes, ")
    assert line.endswith(STOPS)


def test_it_ends_in_order_where_it_cannot_say_that_it_is_ready(spam_bundle, caplog):
    ports = []

    def announce(ready):
        ports.append(int(ready.url.rsplit(":", 1)[1]))
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        serve(spam_bundle, announce=announce)
    assert not caplog.records
    with listen("127.0.0.1", ports[0]):
        pass


def test_nothing_listens_when_the_bundle_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(lifecycle, "listen", lambda *_: pytest.fail("it listened"))
    with pytest.raises(BundleError):
        serve(tmp_path)


def test_a_model_that_fails_is_found_before_anyone_asks(spam_bundle, monkeypatch):
    def fail(*_):
        raise RuntimeError("shapes")

    monkeypatch.setattr(LoadedRunner, "__call__", fail)
    with pytest.raises(ServeError) as caught:
        app_from_bundle(spam_bundle)
    assert caught.value.message == "the model fails on a sample record: shapes"
    assert caught.value.where == str(spam_bundle.folder)


def test_an_application_of_several_bundles(spam_bundle, ask):
    app = app_from_bundle({"one": spam_bundle.folder, "two": spam_bundle})
    body = {"instances": [{"text": "hi"}]}
    for name in ("one", "two"):
        answer = ask(app, "POST", f"/v1/models/{name}/predict", json=body)
        assert answer.json()["model"] == {"name": name, "fingerprint": spam_bundle.fingerprint}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"log_level": "loud"},
            "expected a log level of debug, info, warning, error, found 'loud'",
        ),
        ({"log_format": "xml"}, "expected a log format of text, json, found 'xml'"),
    ],
)
def test_logs_of_another_kind(settings, message):
    with pytest.raises(UsageError) as caught:
        serve("bundle", Settings(**settings))
    assert caught.value.message == message


def test_works_off_the_main_thread_where_no_signals_can_be_caught(spam_bundle):
    started, stop = threading.Event(), []
    urls = []

    def announce(ready):
        urls.append(ready.url)
        started.set()

    thread = threading.Thread(
        target=serve, args=(spam_bundle,), kwargs={"announce": announce, "stop": stop.append}
    )
    thread.start()
    assert started.wait(PATIENCE_SECONDS)
    assert web.get(f"{urls[0]}/readyz").json() == {"ready": True}
    stop[0]()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_each_model_in_processes_of_its_own(spam_bundle):
    answers = []

    def announce(ready):
        body = {"instances": [{"text": "hi"}]}
        answers.append(web.post(f"{ready.url}/v1/predict", json=body).json())

    def later(ready):
        thread = threading.Thread(target=lambda: (announce(ready), stop[0]()))
        thread.start()
        threads.append(thread)

    stop, threads = [], []
    serve(spam_bundle, Settings(replicas=2, limits=patient()), announce=later, stop=stop.append)
    threads[0].join(PATIENCE_SECONDS)
    assert answers[0]["predictions"][0]["label"] in ("ham", "spam")
