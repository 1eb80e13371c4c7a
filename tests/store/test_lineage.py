"""From an artifact back to everything it was made from."""

from __future__ import annotations

import time

from gristmill.store.lineage import made_from, maker_of, trace
from gristmill.store.project import Project
from gristmill.store.runs import Execution, RunLog


def record(log: RunLog, run: str, step: str, output: str, **inputs: str) -> None:
    log.record(
        Execution(
            id=0,
            run=run,
            step=step,
            key=step,
            status="done",
            why="",
            reach={},
            started=time.time(),
            seconds=0.0,
            inputs=inputs,
            output=output,
        ),
        "p.py",
    )


def test_the_whole_ancestry_is_found_and_shared_parts_are_one(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    raw, left, right, model = (log.keep(name).digest for name in ("raw", "left", "right", "model"))
    record(log, run, "load", raw)
    record(log, run, "clean", left, load=raw)
    record(log, run, "label", right, load=raw)
    record(log, run, "train", model, clean=left, label=right)
    origin = trace(log, model)
    shown = [(depth, item.name, item.execution.step) for depth, item in origin.walk()
             if item.execution]  # fmt: skip
    assert shown == [
        (0, "train", "train"),
        (1, "clean", "clean"),
        (2, "load", "load"),
        (1, "label", "label"),
        (2, "load", "load"),
    ]
    assert origin.inputs[0].inputs[0] is origin.inputs[1].inputs[0]


def test_the_maker_is_the_execution_that_first_gave_the_artifact(project: Project) -> None:
    log = RunLog(project)
    first, second = log.start("p.py", {}), log.start("p.py", {})
    digest = log.keep("same").digest
    record(log, first, "make", digest)
    record(log, second, "make", digest)
    maker = maker_of(log, digest)
    assert maker is not None
    assert maker.run == first
    assert maker_of(log, log.keep("nobody's").digest) is None


def test_a_long_chain_is_followed_to_its_end(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    last = log.keep([0]).digest
    record(log, run, "s0", last)
    for number in range(1, 60):
        digest = log.keep([number]).digest
        record(log, run, f"s{number}", digest, before=last)
        last = digest
    assert max(depth for depth, _ in trace(log, last).walk()) == 59


def test_what_was_made_from_an_artifact_is_found_newest_first(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    raw, one, two = (log.keep(name).digest for name in ("raw", "one", "two"))
    record(log, run, "load", raw)
    record(log, run, "first", one, load=raw)
    record(log, run, "second", two, load=raw)
    assert [found.step for found in made_from(log, raw)] == ["second", "first"]
    assert made_from(log, two) == []
