import json
import logging
from types import SimpleNamespace

import pytest

from gristmill.serve.watch.request_log import JsonLines, RequestLog, TextLines

REQUEST = SimpleNamespace(method="POST", name="abc-1")
ROUTE = SimpleNamespace(name="/v1/predict", model="spam")


@pytest.fixture
def logged():
    """Return a log, and the lines that a formatter makes of what it is told."""
    log = logging.getLogger("test.request_log")
    log.propagate, records = False, []
    handler = logging.Handler()
    handler.emit = records.append
    log.addHandler(handler)
    log.setLevel("INFO")
    yield log, lambda formatter: [formatter.format(record) for record in records]
    log.removeHandler(handler)


def test_an_answer_is_one_line_of_json(logged):
    log, lines = logged
    RequestLog(log).answered(REQUEST, ROUTE, 200, 0.0015, 321)
    (line,) = lines(JsonLines())
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info",
        "message": "POST /v1/predict 200 1.5 ms abc-1",
        "request": "abc-1",
        "method": "POST",
        "route": "/v1/predict",
        "model": "spam",
        "status": 200,
        "milliseconds": 1.5,
        "bytes": 321,
    }


def test_an_answer_is_one_line_of_text(logged):
    log, lines = logged
    RequestLog(log).answered(REQUEST, None, 404, 0.0, 0)
    RequestLog(log).left(REQUEST, ROUTE)
    first, second = lines(TextLines())
    assert first.endswith(" INFO POST other 404 0.0 ms abc-1")
    assert second.endswith(" INFO POST /v1/predict: the client left abc-1")


def test_nothing_is_made_of_requests_that_nobody_reads_about(logged):
    log, _ = logged
    requests = RequestLog(log)
    assert requests.wanted
    log.setLevel("WARNING")
    assert not requests.wanted


def test_a_traceback_stays_within_its_line(logged):
    log, lines = logged
    error = RuntimeError("two\nlines")
    log.error("error %s", "e1", exc_info=error)
    (line,) = lines(JsonLines())
    assert "\n" not in line
    assert "RuntimeError: two\nlines" in json.loads(line)["traceback"]
