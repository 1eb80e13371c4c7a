import os
import shutil
import signal

import numpy as np
import pytest
from tests.processes import open_files

from gristmill.core.errors import BundleError, DataError, ServeError
from gristmill.serve.replicas.launcher import Housing, Launcher
from gristmill.serve.replicas.messages import Opening
from gristmill.serve.replicas.nursery import Nursery
from gristmill.serve.replicas.opening import BUNDLE_OPENER
from gristmill.serve.replicas.patience import Care
from gristmill.serve.replicas.task import Task
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import WEIGHTS

TEXTS = Rows({"text": ["win a prize now", "see you at six", ""]})


@pytest.fixture(scope="module")
def bundles_nursery(run):
    """A nursery of replicas of real bundles: with PyTorch loaded."""

    async def start():
        return Nursery()

    async def close():
        nursery.close()

    nursery = run(start())
    yield nursery
    run(close())


@pytest.fixture
def copied(spam_bundle, tmp_path):
    return shutil.copytree(spam_bundle.folder, tmp_path / "copy")


@pytest.fixture
def launched(run, bundles_nursery):
    """Start replicas of a bundle; they are ended after the test."""
    made = []

    async def start(folder, count, warm=TEXTS, housing=Housing()):  # noqa: B008
        launcher = Launcher(bundles_nursery, housing, Care())
        order = Opening(BUNDLE_OPENER, str(folder), housing.threads)
        model, processes = await launcher.start(order, warm, count)
        made.append((model, processes))
        return launcher, model, processes

    yield start

    async def close():
        for model, processes in made:
            model.close()
            for process in processes:
                await process.end(0.0)

    run(close())


def weights_mapped(pid):
    """Return the file that the weights of a process lie in, by number, and its private pages."""
    found, ours = {}, None
    with open(f"/proc/{pid}/smaps") as file:  # noqa: PTH123
        for line in file:
            words = line.split()
            if "-" in words[0]:
                ours = words[4] if "gristmill-weights" in line else None
            elif ours and words[0] == "Private_Dirty:":
                found[ours] = found.get(ours, 0) + int(words[1])
    return found


def test_replicas_of_a_bundle_answer_as_its_runner_does(run, launched, spam_bundle):
    async def test():
        expected = open_runner(spam_bundle)(TEXTS)
        _, model, processes = await launched(spam_bundle.folder, 2)
        assert model.opened.name == "spam"
        assert model.opened.fingerprint == spam_bundle.fingerprint
        assert model.opened.classes == ("ham", "spam")
        answers = []
        for process in processes:
            process.run(Task(TEXTS, lambda outcome, _: answers.append(outcome)))
            await process.end(10.0)
        for answer in answers:
            assert answer["label"] == expected["label"]
            assert np.array_equal(answer["probs"], expected["probs"])
        assert len(answers) == 2

    run(test())


def test_all_compute_with_the_same_weights_in_memory(run, launched, spam_bundle):
    async def test():
        launcher, model, processes = await launched(spam_bundle.folder, 2)
        processes.append(await launcher.another(model, 2))
        mapped = [weights_mapped(process.pid) for process in processes]
        (file,) = mapped[0]
        assert mapped == [{file: 0}] * 3
        assert os.fstat(model.weights).st_ino == int(file)

    run(test())


def test_a_bundle_that_was_tampered_with_is_not_opened(run, launched, copied):
    async def test():
        before = open_files()
        data = bytearray((copied / WEIGHTS).read_bytes())
        data[-1] ^= 1
        (copied / WEIGHTS).write_bytes(data)
        with pytest.raises(BundleError, match=WEIGHTS):
            await launched(copied, 2)
        assert open_files() == before

    run(test())


def test_one_more_replica_of_a_bundle_that_was_tampered_with_is_refused(run, launched, copied):
    async def test():
        launcher, model, processes = await launched(copied, 1)
        (copied / "manifest.json").write_text("{}")
        with pytest.raises(BundleError):
            await launcher.another(model, 1)
        assert processes[0].has_room

    run(test())


def test_what_fails_on_the_rows_to_warm_up_with_is_not_started(run, launched, copied):
    async def test():
        with pytest.raises(DataError, match="expected a column 'text', found other"):
            await launched(copied, 1, warm=Rows({"other": ["x"]}))

    run(test())


def test_a_start_that_fails_half_way_leaves_no_process(run, launched, nursery, model, until):
    async def test():
        # The second replica finds another model than the first one.
        folder = model("doubler", "d" * 32)
        launcher = Launcher(nursery, Housing(), Care())
        first = []
        original = launcher.another

        async def another(found, rank):
            first.append(found)
            model("doubler", "e" * 32)
            return await original(found, rank)

        launcher.another = another
        with pytest.raises(ServeError, match=f"expected model {'d' * 32}, found {'e' * 32}"):
            await launcher.start(Opening("odd_models:doubler", str(folder), 1), None, 2)
        assert first[0].opened.fingerprint == "d" * 32

    run(test())


def test_cores_go_round(run, nursery, model, numbers):
    async def test():
        ours = sorted(os.sched_getaffinity(0))
        housing = Housing(cores=((ours[0],), tuple(ours[:2])), threads=2)
        launcher = Launcher(nursery, housing, Care())
        order = Opening("odd_models:witness", str(model()), 2)
        _, processes = await launcher.start(order, None, 3)
        counts = []
        for process in processes:
            process.run(Task(numbers(1.0), lambda answer, _: counts.append(answer["y"][0][2])))
            await process.end(10.0)
        assert counts == [1, min(2, len(ours)), 1]

    run(test())


def test_replicas_of_a_bundle_can_be_killed_and_started_again(run, launched, spam_bundle, until):
    async def test():
        launcher, model, (first,) = await launched(spam_bundle.folder, 1)
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: not first.has_room)
        second = await launcher.another(model, 0)
        answers = []
        second.run(Task(TEXTS, lambda outcome, _: answers.append(outcome)))
        await second.end(10.0)
        assert len(answers[0]["label"]) == 3

    run(test())
