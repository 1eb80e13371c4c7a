import json
import logging

import pytest

from gristmill.serve.server.logs import set_up_logs

NAMES = ("gristmill.serve", "uvicorn.error", "gristmill.serve.events")


@pytest.fixture(autouse=True)
def as_before():
    """Put the loggers back as they were."""
    logs = [logging.getLogger(name) for name in NAMES]
    before = [(log, log.level, log.propagate, list(log.handlers)) for log in logs]
    yield
    for log, level, propagate, handlers in before:
        log.setLevel(level)
        log.propagate, log.handlers = propagate, handlers


def test_text_by_default_and_once_only(capsys):
    for _ in range(2):
        set_up_logs("info")
    logging.getLogger("gristmill.serve").info("hello")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" INFO hello")


def test_json_for_machines(capsys):
    set_up_logs("warning", "json")
    log = logging.getLogger("gristmill.serve")
    log.info("not wanted")
    log.warning("hello", extra={"fields": {"request": "r1"}})
    found = json.loads(capsys.readouterr().err)
    assert (found["level"], found["message"], found["request"]) == ("warning", "hello", "r1")


def test_events_are_told_where_requests_are_not(capsys):
    event = logging.getLogger("gristmill.serve.events")
    for level, told in (("warning", 1), ("info", 1), ("error", 0)):
        set_up_logs(level, "json")
        event.info("v2 answers now", extra={"fields": {"version": "v2"}})
        lines = capsys.readouterr().err.splitlines()
        assert [json.loads(line)["version"] for line in lines] == ["v2"] * told


def test_uvicorns_warnings_of_malformed_requests_are_left_out(capsys):
    set_up_logs("debug")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.error").error("but this")
    assert "but this" in capsys.readouterr().err
