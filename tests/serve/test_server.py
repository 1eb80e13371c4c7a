import signal
import threading

import pytest

from gristmill.core.errors import BundleError, ServeError, UsageError
from gristmill.serve import server
from gristmill.serve.listener import listen
from gristmill.serve.runner import Runner
from gristmill.serve.server import Ready, app_from_bundle, serve


def test_the_line_says_what_is_served_and_where():
    ready = Ready("http://127.0.0.1:8000", "spam", "0123456789abcdef", ("ham", "spam"), 7)
    assert str(ready) == (
        "serving spam (01234567, 2 classes) at http://127.0.0.1:8000  (Ctrl-C stops)"
    )


def test_serves_until_the_signal_and_leaves_the_handlers_as_they_were(spam_bundle):
    seen = []

    def announce(ready):
        seen.append(ready)
        signal.raise_signal(signal.SIGINT)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    serve(spam_bundle.folder, announce=announce)
    (ready,) = seen
    assert (ready.model, ready.classes) == ("spam", ("ham", "spam"))
    assert ready.fingerprint == spam_bundle.fingerprint
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    with listen("127.0.0.1", int(ready.url.rsplit(":", 1)[1])):
        pass  # the port is free again


def test_prints_one_line_by_default(spam_bundle, monkeypatch, capsys):
    printed = server._print
    monkeypatch.setattr(
        server, "_print", lambda ready: (printed(ready), signal.raise_signal(signal.SIGTERM))
    )
    serve(spam_bundle)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"serving spam ({spam_bundle.fingerprint[:8]}, 2 classes) at http://")


def test_nothing_listens_when_the_bundle_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "listen", lambda *_: pytest.fail("it listened"))
    with pytest.raises(BundleError):
        serve(tmp_path)


def test_a_model_that_fails_is_found_before_anyone_asks(spam_bundle, monkeypatch):
    def fail(*_):
        raise RuntimeError("shapes")

    monkeypatch.setattr(Runner, "predict", fail)
    with pytest.raises(ServeError) as caught:
        app_from_bundle(spam_bundle)
    assert caught.value.message == "the model fails on a sample record: shapes"
    assert caught.value.where == str(spam_bundle.folder)


def test_an_application_is_warm(spam_bundle):
    app = app_from_bundle(spam_bundle.folder)
    assert app.service.batcher.latency.seconds(1) > 0
    assert app.service.model.name == "spam"


def test_an_unknown_log_level():
    with pytest.raises(UsageError) as caught:
        serve("bundle", log_level="loud")
    assert caught.value.message == (
        "expected a log level of debug, info, warning, error, found 'loud'"
    )


def test_works_off_the_main_thread_where_no_signals_can_be_caught(spam_bundle, monkeypatch):
    started = []
    original = server._Server.startup

    async def startup(self, sockets=None):
        await original(self, sockets)
        self.should_exit = True

    monkeypatch.setattr(server._Server, "startup", startup)
    thread = threading.Thread(
        target=serve, args=(spam_bundle,), kwargs={"announce": started.append}
    )
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert len(started) == 1
