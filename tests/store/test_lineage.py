"""From an artifact back to everything it was made from."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.store.lineage import ancestors, descendants, made_from, maker_of
from gristmill.store.project import Project
from gristmill.store.runs import Artifact, Execution, RunLog, note_artifacts


def made(run: str, step: str, output: str, inputs: dict[str, str]) -> Execution:
    return Execution(
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
    )


def record(log: RunLog, run: str, step: str, output: str, **inputs: str) -> None:
    log.record(made(run, step, output, inputs), "p.py")


def noted(log: RunLog, *names: str) -> list[str]:
    """Write down artifacts of these names without storing any content."""
    digests = [fingerprint(name) for name in names]
    with log.project.database.write() as connection:
        note_artifacts(connection, [Artifact(each, "str", "json", 1, None, {}) for each in digests])
    return digests


def test_the_whole_ancestry_is_found_and_shared_parts_are_one(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    raw, left, right, model = (log.keep(name).digest for name in ("raw", "left", "right", "model"))
    record(log, run, "load", raw)
    record(log, run, "clean", left, load=raw)
    record(log, run, "label", right, load=raw)
    record(log, run, "train", model, clean=left, label=right)
    origin = ancestors(log, model)
    shown = [(depth, item.name, item.execution.step) for depth, item in origin.walk()
             if item.execution]  # fmt: skip
    assert shown == [
        (0, "train", "train"),
        (1, "clean", "clean"),
        (2, "load", "load"),
        (1, "label", "label"),
        (2, "load", "load"),
    ]
    assert origin.relatives[0].relatives[0] is origin.relatives[1].relatives[0]


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


def test_a_chain_longer_than_python_may_nest_is_followed_both_ways(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    chain = noted(log, *(f"link {number}" for number in range(1050)))
    before = [{}, *({"before": digest} for digest in chain)]
    steps = [made(run, f"s{n}", digest, before[n]) for n, digest in enumerate(chain)]
    log.record_all(steps, "p.py")
    assert max(depth for depth, _ in ancestors(log, chain[-1]).walk()) == 1049
    assert max(depth for depth, _ in descendants(log, chain[0]).walk()) == 1049


def test_what_was_made_from_an_artifact_is_found_newest_first(project: Project) -> None:
    log = RunLog(project)
    run = log.start("p.py", {})
    raw, one, two = (log.keep(name).digest for name in ("raw", "one", "two"))
    record(log, run, "load", raw)
    record(log, run, "first", one, load=raw)
    record(log, run, "second", two, load=raw)
    assert [found.step for found in made_from(log, raw)] == ["second", "first"]
    assert made_from(log, two) == []


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory):
    with Project(tmp_path_factory.mktemp("lineage")) as opened:
        yield RunLog(opened)


@given(st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=3)), max_size=12))
@settings(max_examples=30)
def test_both_directions_agree_with_following_every_link(log: RunLog, steps) -> None:
    run = log.start("p.py", {})
    digests = noted(log, *(f"{run} {number}" for number in range(10)))
    makers: dict[int, set[int]] = {}
    uses: dict[int, set[int]] = {number: set() for number in range(10)}
    ran = []
    for output, read in steps:
        inputs = {number for number in read if number < output}
        ran.append(made(run, f"s{output}", digests[output], {f"i{n}": digests[n] for n in inputs}))
        makers.setdefault(output, inputs)
        for number in inputs:
            uses[number].add(output)
    log.record_all(ran, "p.py")

    def reached(start: int, links: dict[int, set[int]]) -> set[str]:
        found, waiting = set(), [start]
        while waiting:
            number = waiting.pop()
            if digests[number] not in found:
                found.add(digests[number])
                waiting += links.get(number, ())
        return found

    for number in (0, 4, 9):
        up, down = ancestors(log, digests[number]), descendants(log, digests[number])
        assert {one.artifact.digest for _, one in up.walk()} == reached(number, makers)
        assert {one.artifact.digest for _, one in down.walk()} == reached(number, uses)


def test_nobody_is_called_so(project: Project) -> None:
    for question in (ancestors, descendants):
        with pytest.raises(UsageError, match="there is no artifact 'abc'"):
            question(RunLog(project), "abc")
