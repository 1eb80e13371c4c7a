"""What can be used is said, what cannot is said with what to do; an address is tried for real."""

from __future__ import annotations

import socket

import pytest

from gristmill.cli.engines import ABILITIES
from gristmill.engine import installations, opening


def test_engines_and_what_runs_on_them_fit_the_terminal(prompt):
    answer = prompt("engines")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    told = prompt("engines", "--json").json
    assert [each["engine"] for each in told["engines"]] == ["inline", "local", "ray", "spark"]
    assert all(each["ready"] for each in told["engines"][:2])
    assert [tuple(row.values()) for row in told["abilities"]] == list(ABILITIES)


def test_what_is_not_installed_comes_with_its_extra(prompt, monkeypatch):
    monkeypatch.setattr(installations, "is_installed", lambda kind: False)
    answer = prompt("engines")
    for name in ("ray", "spark"):
        assert f"pip install 'gristmill[{name}]'" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80


def test_spark_without_java_comes_with_the_package(prompt, monkeypatch, tmp_path):
    monkeypatch.setattr(installations, "is_installed", lambda kind: True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (spark,) = [each for each in prompt("engines", "--json").json["engines"]
                if each["engine"] == "spark"]  # fmt: skip
    assert not spark["ready"]
    assert str(tmp_path) in spark["found"]
    assert "JAVA_HOME" in spark["fix"]


@pytest.mark.parametrize("listens", [True, False])
def test_a_cluster_that_the_environment_names_is_asked(prompt, monkeypatch, listens):
    monkeypatch.setattr(installations, "is_installed", lambda kind: True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        if not listens:
            server.close()
        answer = prompt("engines", "--json")
    (ray,) = [each for each in answer.json["engines"] if each["engine"] == "ray"]
    assert ray["ready"] == listens
    assert address in ray["found"]
    assert ("unset RAY_ADDRESS" in ray["fix"]) != listens


def test_an_engine_that_is_tried_answers_from_its_workers(prompt):
    answer = prompt("engines", "local:2", "--json")
    assert answer.code == 0, answer.err
    told = answer.json
    assert (told["items_at_once"], len(told["hosts"]), told["warnings"]) == (2, 1, [])
    assert prompt("engines", "inline").out.startswith("inline: works, 1 items at once on 1 machine")


@pytest.mark.parametrize(
    ("address", "message"),
    [("sprak", "unknown engine 'sprak'"), ("ray:head", "expected a host and a port")],
)
def test_a_wrong_address(prompt, address, message):
    answer = prompt("engines", address)
    assert answer.code == 2
    assert message in answer.err


def test_an_engine_whose_package_is_missing(prompt, monkeypatch):
    monkeypatch.setattr(opening, "is_installed", lambda kind: kind != "ray")
    answer = prompt("engines", "ray")
    assert answer.code == 2
    assert "pip install 'gristmill[ray]'" in answer.err
