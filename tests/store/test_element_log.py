"""Results of elements are found by their keys, however many machines write at once."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from pathlib import Path

from gristmill.store.codecs import Encoded
from gristmill.store.element_log import ElementLog, ElementResult
from gristmill.store.gathered import GATHERED, Gathered, Member
from gristmill.store.project import Project
from gristmill.store.runs import Artifact, RunLog

WRITERS, VALUES, ROUNDS = 4, 12, 6


def test_a_result_is_found_while_it_is_stored_and_renewed_after(project: Project) -> None:
    log = RunLog(project)
    elements = ElementLog(log, log.start("p.py", {}), "count")
    one, two = log.keep("one"), log.keep("two")
    elements.record([ElementResult("k1", one), ElementResult("k2", two)])
    assert elements.find(["k1", "k2", "k3"]) == {
        "k1": Member(one.digest, "json"),
        "k2": Member(two.digest, "json"),
    }
    shutil.rmtree(project.artifacts.get(one.digest).parent)
    assert list(elements.find(["k1", "k2"])) == ["k2"]
    elements.record([ElementResult("k1", two)])
    assert elements.find(["k1"]) == {"k1": Member(two.digest, "json")}


def test_more_keys_than_one_question_may_have(project: Project) -> None:
    log = RunLog(project)
    elements = ElementLog(log, log.start("p.py", {}), "count")
    artifact = log.keep("same")
    keys = [f"k{number}" for number in range(1100)]
    elements.record([ElementResult(key, artifact) for key in keys])
    assert set(elements.find([*keys, "other"])) == set(keys)


def test_a_gathered_list_keeps_digests_alone_and_is_read_as_a_list(project: Project) -> None:
    log = RunLog(project)
    members = [Member(log.keep(value).digest, "json") for value in ("a", ["b"], "a")]
    for gathered, value in (
        (Gathered(members), ["a", ["b"], "a"]),
        (Gathered(members, ["x", "y", "z"]), {"x": "a", "y": ["b"], "z": "a"}),
    ):
        artifact = keep_gathered(log, gathered)
        assert log.load(artifact.digest) == value
        assert [file.name for file in log.files(artifact.digest).iterdir()] == ["gathered.json"]


def keep_gathered(log: RunLog, gathered: Gathered) -> Artifact:
    with log.draft() as folder:
        gathered.save(folder)
        artifact = log.put(folder, Encoded(GATHERED, "list", len(gathered.members), {}))
    ElementLog(log, "run", "step").record([ElementResult("whole", artifact)])
    return artifact


def write_shuffled(root: str, worker: int) -> None:
    """Write the same keys and values as all the others, in an order of one's own."""
    draw = random.Random(worker)
    with Project(Path(root)) as project:
        log = RunLog(project)
        elements = ElementLog(log, log.start(f"w{worker}.py", {}), "count")
        for turn in range(ROUNDS):
            numbers = draw.sample(range(VALUES), VALUES)
            single = log.keep([turn, "met by all"])
            results = [ElementResult(f"{turn}-{one}", log.keep([turn, one])) for one in numbers]
            elements.record([*results, ElementResult(f"{turn}", single)])


def test_processes_that_write_the_same_at_once_do_not_get_in_each_others_way(
    project: Project,
) -> None:
    context = multiprocessing.get_context("spawn")
    root = str(project.root)
    workers = [
        context.Process(target=write_shuffled, args=(root, number)) for number in range(WRITERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WRITERS
    log = RunLog(project)
    for turn in range(ROUNDS):
        keys = [f"{turn}-{number}" for number in range(VALUES)]
        found = ElementLog(log, "r", "count").find(keys)
        assert [log.load(found[key].digest) for key in keys] == [
            [turn, number] for number in range(VALUES)
        ]
