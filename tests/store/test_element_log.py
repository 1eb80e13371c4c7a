"""Results of elements are found by their keys, however many machines write at once."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import polars as pl

from gristmill.store.element_log import ElementLog
from gristmill.store.elements import elements_of
from gristmill.store.gathered import Gathered, Member
from gristmill.store.packs import write_pack
from gristmill.store.parcels import pack
from gristmill.store.project import Project
from gristmill.store.runs import Artifact, RunLog

FRAME = pl.DataFrame({"a": [1, 2]})
WRITERS, VALUES, ROUNDS = 4, 12, 3


def member(artifact: Artifact) -> Member:
    return Member(artifact.digest, artifact.codec, artifact.digest)


def test_a_result_is_found_while_it_is_stored_and_renewed_after(project: Project) -> None:
    log = RunLog(project)
    elements = ElementLog(log, log.start("p.py", {}), "count")
    one, two = log.keep("one"), log.keep("two")
    elements.record({"k1": member(one), "k2": member(two)}, [one, two])
    assert elements.find(["k1", "k2", "k3"]) == {"k1": member(one), "k2": member(two)}
    project.artifacts.remove([one.digest])
    assert list(elements.find(["k1", "k2"])) == ["k2"]
    elements.record({"k1": member(two)}, [two])
    assert elements.find(["k1"]) == {"k1": member(two)}


def test_more_keys_than_one_question_may_have(project: Project) -> None:
    log = RunLog(project)
    elements = ElementLog(log, log.start("p.py", {}), "count")
    artifact = log.keep("same")
    keys = [f"k{number}" for number in range(1100)]
    elements.record({key: member(artifact) for key in keys}, [artifact])
    assert set(elements.find([*keys, "other"])) == set(keys)


def test_a_gathered_list_says_where_its_members_are_and_is_read_as_a_list(project: Project) -> None:
    log = RunLog(project)
    packed = [pack(value)[0] for value in (["b"], FRAME)]
    with log.draft() as folder:
        held = log.put(folder, write_pack(packed, folder))
    members = [member(log.keep("a"))]
    members += [Member(each.digest, each.codec, held.digest, at) for at, each in enumerate(packed)]
    for names in (None, ["x", "y", "z"]):
        with log.draft() as folder:
            artifact = log.put(folder, Gathered(members, names).save(folder))
        log.note(artifact)
        assert [file.name for file in log.files(artifact.digest).iterdir()] == ["gathered.json"]
        found = log.load(artifact.digest)
        assert repr(found) == repr(
            ["a", ["b"], FRAME] if names is None else {"x": "a", "y": ["b"], "z": FRAME}
        )
        elements = elements_of(log, artifact.digest)
        assert elements.names == names
        assert [each.digest for each in elements.members] == [each.digest for each in members]
        assert [each.parcel().digest for each in elements.members] == [
            each.digest for each in members
        ]


def write_shuffled(root: str, worker: int) -> None:
    """Write the same keys and values as all the others, in an order of one's own."""
    draw = random.Random(worker)
    with Project(Path(root)) as project:
        log = RunLog(project)
        elements = ElementLog(log, log.start(f"w{worker}.py", {}), "count")
        for turn in range(ROUNDS):
            numbers = draw.sample(range(VALUES), VALUES)
            single = log.keep([turn, "met by all"])
            holders = {f"{turn}-{one}": log.keep([turn, one]) for one in numbers}
            holders[f"{turn}"] = single
            results = {key: member(artifact) for key, artifact in holders.items()}
            elements.record(results, list(holders.values()))


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
