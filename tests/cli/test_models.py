"""The registry at the prompt: what is there, who decided it, forward and back."""

from __future__ import annotations

import sqlite3

import pytest

from gristmill.cli import model_options
from gristmill.store.decision import Decision
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog


@pytest.fixture
def registered(prompt, spam_bundle):
    """Two versions of a model, the first of which answers; the gate rejected the second."""
    with Project(prompt.root) as project:
        log, registry = RunLog(project), Registry(project)
        for number in (1, 2):
            artifact = log.keep(spam_bundle if number == 1 else f"not a bundle {number}").digest
            registry.register("spam", artifact)
        registry.decide("spam", 1, "promote", ["first"], author="gate")
        registry.decide("spam", 2, "reject", ["f1 0.500", "worse"], author="gate")
    return prompt


def test_what_is_registered(registered) -> None:
    assert "champion 1" in registered("models").out
    (model,) = registered("models", "--json").json
    assert (model["model"], model["versions"], model["aliases"]) == ("spam", 2, {"champion": 1})
    versions = registered("models", "spam", "--json").json["versions"]
    assert [(each["version"], each["verdict"]) for each in versions] == [
        (2, "reject"),
        (1, "promote"),
    ]
    assert "champion" in registered("models", "spam").out


def test_an_unknown_model_is_named_with_the_known_ones(registered) -> None:
    for command in (
        ("models", "ham"),
        ("history", "ham"),
        ("promote", "ham", "1"),
        ("rollback", "ham"),
    ):
        answer = registered(*command)
        assert answer.code == 2
        assert "there is no model 'ham'" in answer.err
        assert "known models: spam" in answer.err


def test_forward_by_hand_and_back(registered, monkeypatch) -> None:
    refused = registered("promote", "spam", "1", "--alias", "9")
    assert refused.code == 2
    done = registered("promote", "spam", "1", "--alias", "candidate", "--reason", "try it")
    assert (done.code, done.out) == (0, "candidate of spam is version 1\n")
    with Project(registered.root) as project:
        Registry(project).decide("spam", 2, "promote", ["by hand"], author="ada", forced=True)
    back = registered("rollback", "spam", "--reason", "complaints")
    assert back.out == "champion of spam is version 1, in place of 2\n"
    again = registered("rollback", "spam")
    assert again.code == 2
    assert "'champion' of 'spam' never named an earlier version" in again.err
    told = registered("history", "spam").out.splitlines()
    assert "rollback  version 1 as champion, in place of 2" in told[0]
    assert told[1] == "    - back from version 2: complaints"
    assert " ".join(told[2:4]).endswith(
        "promote   version 2 as champion, in place of 1  by ada   FORCED"
    )
    assert max(map(len, told)) <= 80


def test_what_the_gate_rejected_is_not_promoted(registered, monkeypatch) -> None:
    from gristmill.pipeline.releasing import promotion
    from gristmill.pipeline.releasing.rehearsal import Rehearsal

    monkeypatch.setattr(promotion, "registered_bundle", lambda *_: None)
    monkeypatch.setattr(promotion, "_rehearsed", lambda *_: Rehearsal(1, []))
    answer = registered("promote", "spam", "2")
    assert answer.code == 4
    assert "gate said reject: worse" in answer.err
    forced = registered("promote", "spam", "2", "--force", "--reason", "it is only a test")
    assert forced.out == "champion of spam is version 2, in place of 1 (forced)\n"


def test_what_was_live_at_a_moment(registered) -> None:
    assert "champion: version 1" in registered("history", "spam", "--at", "now").out
    assert "no version had a name" in registered("history", "spam", "--at", "2001-01-01").out
    payload = registered("history", "spam", "--at", "now", "--json").json
    assert payload["aliases"]["champion"]["reasons"] == ["first"]
    assert registered("history", "spam", "--at", "someday").code == 2


def test_a_log_that_was_changed_by_hand_is_said_aloud(registered) -> None:
    newest, oldest = (each["seal"] for each in registered("history", "spam", "--json").json)
    assert registered("history", "spam").out.endswith(f"newest seal: {newest}\n")
    assert registered("history", "spam", "--seal", oldest[:8]).code == 0
    assert registered("models", "spam", "--json").json["log_changed"] is False
    assert "note" not in registered("models").out + registered("models", "spam").out
    gone = registered("history", "spam", "--seal", "0" * 32)
    assert (gone.code, "no decision of 'spam' has the seal" in gone.err) == (7, True)
    assert registered("history", "spam", "--seal", "").code == 2
    with sqlite3.connect(registered.root / ".gristmill" / "store.db") as raw:
        change = "UPDATE promotions SET author = 'eve' WHERE verdict = 'promote'"
        with pytest.raises(sqlite3.IntegrityError, match="promotions holds history"):
            raw.execute(change)
        raw.execute("DROP TRIGGER promotions_update_guard")
        raw.execute(change)
    for args in ((), ("spam",)):
        told = registered("models", *args)
        assert told.code == 0
        assert told.out.splitlines()[-2].startswith("note: the log of 'spam' was changed by other")
        assert max(map(len, told.out.splitlines())) <= 80
    assert registered("models", "--json").json[0]["log_changed"] is True
    assert registered("models", "spam", "--json").json["log_changed"] is True
    for args in ((), ("--at", "now"), ("--json",)):
        told = registered("history", "spam", *args)
        assert told.code == 7
        assert "eve" in told.out
        assert "1 of 2 decisions do not fit their seals, first number 1" in told.err


def test_what_was_live_before_is_not_called_replaced() -> None:
    again = Decision("spam", 1, "promote", ["by hand"], "ada", 0.0, "champion", replaced=1)
    assert model_options.told(again) == "champion of spam is version 1, as before"


def test_an_empty_registry_says_how_to_fill_it(prompt) -> None:
    Project(prompt.root).database.close()
    assert "no model is registered yet" in prompt("models").out
    for words in (["history", "spam"], ["rollback", "spam"], ["promote", "spam", "1"]):
        told = prompt(*words)
        assert (told.code, "fix: none is registered yet: `gristmill.pip" in told.err) == (2, True)


def test_one_version_says_how_it_was_made(registered) -> None:
    told = registered("models", "spam@champion")
    assert told.code == 0
    assert "spam version 1, bundle" in told.out
    assert "no recipe" in told.out
    assert registered("models", "spam@1", "--json").json["differences"] == []
    assert "spam@2 is a json, not a bundle" in registered("models", "spam@2").err
    wrong = registered("models", "spam@other")
    assert (wrong.code, "its aliases: champion" in wrong.err) == (2, True)


BUNDLING = """
import numpy as np
from gristmill import step
from gristmill.pipeline import workdir
from gristmill.store import Registry, current_project
from gristmill.store.bundle import Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref
from gristmill.store.runs import RunLog

@step
def factor(number=1):
    return number

@step
def bundle(factor, seed=0) -> Bundle:
    node = Node("y", "aten.mul.Tensor", [Ref("x"), Ref("w")])
    graph = GraphSpec([Input("x", "float32", [None, 1])], ["w"], [node], ["y"])
    x, y = (Field(name, "tensor", dtype="float32", shape=[1]) for name in "xy")
    weights = {"w": np.full(1, factor, dtype=np.float32)}
    return write_bundle(
        workdir() / "b", name="times", signature=Signature([x], [y]), graph=graph, weights=weights
    )

@step
def live(bundle):
    registry = Registry(current_project())
    version = registry.register("times", RunLog(current_project()).keep(bundle).digest).version
    registry.decide("times", version, "promote", [])
"""


def test_a_bundle_of_a_pipeline_says_how_to_make_it_again(prompt) -> None:
    prompt.write("pipeline.py", BUNDLING)
    prompt("run", "--set", "factor.number=4", "--set", "bundle.seed=7")
    found = prompt("models", "times@champion", "--json").json
    recipe = found["recipe"]
    assert (recipe["step"], recipe["settings"], list(recipe["inputs"])) == (
        "bundle", {"seed": "7"}, ["factor"],
    )  # fmt: skip
    command = "gristmill run pipeline.py --step bundle --set bundle.seed=7 --set factor.number=4"
    assert sorted(recipe["command"].split()) == sorted(command.split())
    assert f"again by   {recipe['command']}" in prompt("models", "times@1").out
    prompt("run")
    assert prompt("models", "times@2", "--json").json["fingerprint"] != found["fingerprint"]
    prompt(*recipe["command"].split()[1:], "--force", "bundle")
    assert prompt("models", "times@1", "--json").json["fingerprint"] == found["fingerprint"]
    steps = prompt("runs", "last", "--json").json["steps"]
    assert steps[-1]["output"] == found["artifact"]
