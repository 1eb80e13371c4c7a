from __future__ import annotations

import functools
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from tests.processes import lives

from gristmill.core.errors import StepError, UsageError
from gristmill.core.processes.death import KillCounts
from gristmill.engine import LocalProcesses
from gristmill.engine.failures import WorkerDiedError
from gristmill.engine.worker import Worker, sendable


def test_work_runs_in_other_processes_that_stay(local, jobs):
    first = set(local.map(jobs.pid, range(8)))
    assert os.getpid() not in first
    assert len(first) <= 2
    assert set(local.map(jobs.pid, range(8))) <= first


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "POLARS_MAX_THREADS"])
def test_workers_have_one_thread_and_the_owner_keeps_its_own(jobs, monkeypatch, name):
    monkeypatch.setenv(name, "7")
    with LocalProcesses(1) as engine:
        assert list(engine.map(jobs.environment, [name])) == ["1"]
    assert os.environ[name] == "7"


def test_a_killed_worker_names_the_item_and_the_engine_goes_on(local, jobs):
    results = local.map(jobs.kill_on_two, range(6))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(StepError) as error:
        next(results)
    assert str(error.value) == (
        "kill_on_two, item 2: the worker process was killed (SIGKILL), in each of 3 tries\n"
        "  fix: if memory ran out, use fewer workers or smaller partitions"
    )
    assert list(local.map(jobs.double, range(6))) == [0, 2, 4, 6, 8, 10]


def test_the_death_of_a_worker_is_tried_again(local, jobs, tmp_path):
    items = [(str(tmp_path), number) for number in range(12)]
    assert list(local.map(jobs.die_at_first, items)) == list(range(12))
    tries = {int(path.name): path.stat().st_size for path in tmp_path.iterdir()}
    assert tries == {number: 2 if number % 3 == 0 else 1 for number in range(12)}


def test_an_item_that_always_kills_is_told_and_the_others_are_kept(local, jobs):
    outcomes = list(local.attempts(jobs.kill_on_two, range(6)))
    assert [outcome.value for outcome in outcomes] == [0, 1, None, 3, 4, 5]
    assert str(outcomes[2].error).startswith("kill_on_two, item 2: the worker process was killed")


def test_processes_killed_from_outside_lose_no_item_and_repeat_none(jobs, tmp_path):
    items = [(str(tmp_path), number) for number in range(60)]
    found, killed = [], set()
    with LocalProcesses(2) as engine:
        for value in engine.map(jobs.note_and_wait, items):
            found.append(value)
            pids = {int(path.name) for path in tmp_path.iterdir()} - killed
            if value in (10, 30) and pids:
                killed.add(victim := min(pids))
                os.kill(victim, signal.SIGKILL)
    assert killed
    assert found == list(range(60))


def test_a_worker_that_died_while_idle_is_replaced(jobs):
    with LocalProcesses(1) as engine:
        (pid,) = engine.map(jobs.pid, [1])
        os.kill(pid, signal.SIGKILL)
        (other,) = engine.map(jobs.pid, [1])
    assert other != pid


def test_a_death_in_the_middle_of_a_message_is_a_death(jobs):
    worker = Worker()
    worker.load(sendable(jobs.large))
    worker.receive("here").get()
    worker.call(None, 100_000_000)
    worker.connection.poll(60)
    worker.kill()
    outcome = worker.receive("here")
    worker.stop()
    assert isinstance(outcome.error, WorkerDiedError)


def test_a_result_that_cannot_be_read(local, jobs):
    outcomes = list(local.attempts(jobs.only_there, range(3)))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert str(outcomes[1].error) == (
        "only_there, item 1: the result cannot be read: nothing to read"
    )


def test_a_worker_that_ends_by_itself(local, jobs):
    with pytest.raises(StepError) as error:
        list(local.map(jobs.exit_hard, [0]))
    said = "the worker process ended by itself (exit code 7), in each of 3 tries"
    assert error.value.message == said
    assert error.value.where == "exit_hard, item 0"
    assert error.value.fix.startswith("something that it called ends the process")


def test_a_killed_actor(local, jobs):
    (actor,) = local.workers(1, jobs.Counter)
    with pytest.raises(StepError, match=r"worker 0, die: the worker process was killed"):
        actor.call("die").result()
    with pytest.raises(StepError, match=r"worker 0, add: the worker process was killed"):
        actor.call("add", 1).result()


def test_large_calls_both_ways_do_not_block(local, jobs):
    (actor,) = local.workers(1, jobs.Counter)
    block = b"x" * 2_000_000
    futures = [actor.call("echo", block) for _ in range(4)]
    assert all(future.result() == block for future in futures)
    assert [len(b) for b in local.map(jobs.double, [block] * 4)] == [4_000_000] * 4


def test_closing_an_actor_ends_its_call(local, jobs, wait_until):
    (actor,) = local.workers(1, jobs.Counter)
    running, queued = actor.call("sleep", 600), actor.call("add", 1)
    wait_until(running.running)
    actor.close()
    with pytest.raises(StepError, match="was killed"):
        running.result()
    assert queued.cancelled()


def test_results_and_items_that_cannot_be_pickled(local, jobs):
    with pytest.raises(StepError, match="item 0: the result, a function, cannot be sent back"):
        list(local.map(jobs.unsendable_result, [1]))
    with pytest.raises(StepError) as error:
        list(local.map(jobs.double, [1, lambda: 1]))
    assert error.value.where == "double, item 1"
    assert error.value.message.startswith("the item cannot be sent to a worker process")


def nested():
    def inner(x):
        return x

    return inner


@pytest.mark.parametrize("fn", [lambda x: x, nested(), functools.partial(lambda x, y: x, 1)])
def test_functions_that_cannot_be_sent(local, fn):
    for start in (lambda: local.map(fn, [1]), lambda: local.workers(1, fn)):
        with pytest.raises(UsageError) as error:
            start()
        assert "cannot be sent to worker processes" in error.value.message
        assert error.value.fix == (
            "define it at the top level of a module (no lambda, no function inside a function, "
            'no notebook cell), or use engine="inline"'
        )


def test_a_function_whose_module_workers_cannot_import(local, tmp_path, monkeypatch):
    (tmp_path / "engine_gone.py").write_text("def f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import engine_gone

    list(local.map(engine_gone.f, [1]))
    monkeypatch.undo()
    with (
        LocalProcesses(1) as fresh,
        pytest.raises(StepError, match="f, item 0: ModuleNotFoundError: No module named 'engine_"),
    ):
        list(fresh.map(engine_gone.f, [1]))


def test_partial_functions_work(local, jobs):
    assert list(local.map(functools.partial(pow, 2), [3, 4])) == [8, 16]


def test_closing_from_another_thread_ends_the_wait(jobs, tmp_path, wait_until):
    def wait_for_ever():
        with pytest.raises(StepError, match="hang, item 0: the worker process was killed"):
            next(results)

    with LocalProcesses(2) as engine:
        results = engine.map(jobs.hang, [str(tmp_path)] * 2)
        thread = threading.Thread(target=wait_for_ever)
        thread.start()
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        pids = [int(path.name) for path in tmp_path.iterdir()]
        engine.close()
        thread.join(60)
    assert not thread.is_alive()
    assert not any(map(lives, pids))


def test_leaving_early_ends_all_workers(jobs, wait_until):
    with LocalProcesses(2) as engine:
        results = engine.map(jobs.pid, range(100))
        pids = {next(results) for _ in range(8)}
    wait_until(lambda: not any(map(lives, pids)))
    results.close()
    assert engine._idle == []


def test_workers_ignore_ctrl_c(local, jobs):
    assert list(local.map(jobs.ignores_interrupt, range(3))) == [True] * 3


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_memory_that_ran_out_is_told(jobs, monkeypatch):
    """The kernel counts whom it kills; here each look at the counts finds one more."""
    kills = itertools.count()

    def counts() -> KillCounts:
        return KillCounts(next(kills), next(kills), 500_000_000)

    monkeypatch.setattr(KillCounts, "now", counts)
    with LocalProcesses(1) as engine:
        *_, last = engine.attempts(jobs.kill_on_two, range(3))
    assert last.error is not None
    assert last.error.message == (
        "the worker process was killed by the kernel: the memory limit of its group, 500 MB, is "
        "reached, in each of 3 tries"
    )


def test_ctrl_c_leaves_no_process_behind(tmp_path, jobs, wait_until):
    marks = tmp_path / "marks"
    marks.mkdir()
    path = script(
        tmp_path,
        f"""
        import sys
        sys.path.insert(0, {str(Path(jobs.__file__).parent)!r})
        import engine_jobs
        from gristmill.engine import LocalProcesses
        if __name__ == "__main__":
            with LocalProcesses(2) as engine:
                list(engine.map(engine_jobs.hang, [{str(marks)!r}] * 2))
        """,
    )
    owner = subprocess.Popen(
        [sys.executable, path], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: len(list(marks.iterdir())) == 2)
    os.killpg(owner.pid, signal.SIGINT)
    _, said = owner.communicate(timeout=60)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    assert not any(lives(int(path.name)) for path in marks.iterdir())


def test_a_killed_owner_leaves_no_process_behind(tmp_path, jobs, wait_until):
    """Neither the worker that waits for work, nor the one that is in the middle of it."""
    path = script(
        tmp_path,
        f"""
        import os, signal, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(jobs.__file__).parent)!r})
        import engine_jobs
        from gristmill.engine import LocalProcesses
        if __name__ == "__main__":
            marks = Path({str(tmp_path)!r}, "marks")
            marks.mkdir()
            waiting, busy = LocalProcesses(1), LocalProcesses(1)
            print(*waiting.map(engine_jobs.pid, [1]), flush=True)
            (actor,) = busy.workers(1, engine_jobs.Counter)
            print(actor.pid, flush=True)
            actor.call("hang", str(marks))
            while not list(marks.iterdir()):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    wait_until(lambda: not any(map(lives, pids)))


def test_functions_of_a_script(tmp_path):
    path = script(
        tmp_path,
        """
        from gristmill.engine import LocalProcesses
        def square(x):
            return x * x
        if __name__ == "__main__":
            with LocalProcesses(2) as engine:
                print(list(engine.map(square, range(4))))
        """,
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.stdout == "[0, 1, 4, 9]\n", done.stderr


def test_a_script_without_the_guard_is_told(tmp_path):
    path = script(
        tmp_path,
        """
        from gristmill.core.errors import StepError
        from gristmill.engine import LocalProcesses
        def square(x):
            return x * x
        try:
            with LocalProcesses(1) as engine:
                print(list(engine.map(square, range(4))))
        except StepError as error:
            print(error)
        """,
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert "keeps its calls under `if __name__ ==" in done.stdout


def test_functions_of_an_interactive_session_are_refused():
    text = """
    from gristmill.core.errors import UsageError
    from gristmill.engine import LocalProcesses
    def square(x):
        return x * x
    try:
        LocalProcesses(1).map(square, [1])
    except UsageError as error:
        print(error.message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False
    )
    assert done.stdout == (
        "'square' cannot be sent to worker processes: "
        "it is defined in a notebook or an interactive session\n"
    )


def test_at_least_one_worker():
    with pytest.raises(UsageError, match="expected at least 1 worker, found 0"):
        LocalProcesses(0)
