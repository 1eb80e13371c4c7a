"""What every engine does: the same tests for each."""

from __future__ import annotations

import re
import signal
from functools import partial

import pytest

from gristmill.core.errors import DataError, StepError, UsageError
from gristmill.engine import Engine
from gristmill.engine.failures import WorkerDiedError


def test_is_an_engine(engine):
    assert isinstance(engine, Engine)
    assert engine.parallelism >= 1


def test_map_keeps_the_order(engine, jobs):
    assert list(engine.map(jobs.slow_when_even, range(20))) == list(range(20))


def test_map_of_nothing(engine, jobs):
    assert list(engine.map(jobs.double, [])) == []


def test_map_takes_items_only_a_little_ahead(engine, jobs):
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    results = engine.map(jobs.double, items())
    assert taken == []
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 3 + 2 * engine.parallelism
    results.close()


def test_two_maps_may_be_under_way_at_once(engine, jobs):
    pairs = zip(engine.map(jobs.double, range(5)), engine.map(jobs.pid, range(5)), strict=True)
    assert [double for double, _ in pairs] == [0, 2, 4, 6, 8]


def test_an_error_comes_after_the_results_before_it(engine, jobs):
    results = engine.map(jobs.fail_on_three, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StepError) as error:
        next(results)
    assert str(error.value) == "fail_on_three, item 3: ValueError: three is too many"
    assert "three is too many" in str(error.value.__cause__)
    assert list(engine.map(jobs.double, [4])) == [8]


def test_our_own_errors_come_as_themselves(engine, jobs):
    with pytest.raises(DataError) as error:
        list(engine.map(jobs.fail_ours, [1]))
    assert str(error.value) == "a.csv, line 3: bad cell\n  fix: mend it"


def test_an_error_that_cannot_be_pickled(engine, jobs):
    with pytest.raises(StepError, match="fail_oddly, item 0: OddError: 1 and 2"):
        list(engine.map(jobs.fail_oddly, [1]))


def test_a_function_that_wants_to_exit(engine, jobs):
    with pytest.raises(StepError, match="leave, item 0: SystemExit: 3"):
        list(engine.map(jobs.leave, [1]))


@pytest.mark.parametrize(
    ("name", "said"),
    [("end_on_one", "Stop: enough"), ("interrupt_on_one", "KeyboardInterrupt")],
)
def test_what_ends_programs_ends_its_item_alone(engine, jobs, name, said):
    if engine.name == "inline":
        pytest.skip("it is raised in the caller's own process, whose it is")
    outcomes = list(engine.attempts(getattr(jobs, name), range(3)))
    assert [outcome.value for outcome in outcomes] == [0, None, 2]
    assert str(outcomes[1].error) == (
        f"{name}, item 1: {said}\n  fix: a function that runs on an engine returns a value or "
        "raises an error; this ends programs"
    )


def test_a_process_that_is_sent_a_signal_has_died(engine, jobs):
    """Ray would make a SIGTERM an error of the function, which is not tried again."""
    if engine.name == "inline":
        pytest.skip("it has no processes of its own")
    signalled = partial(jobs.signalled_on_one, number=signal.SIGTERM)
    outcomes = list(engine.attempts(signalled, range(3)))
    assert [outcome.value for outcome in outcomes] == [0, None, 2]
    assert isinstance(outcomes[1].error, WorkerDiedError)
    assert re.search(r"3 (times|tries)$", outcomes[1].error.message)


def test_a_failed_item_does_not_stop_the_others(engine, jobs):
    outcomes = list(engine.attempts(jobs.fail_on_three, range(6)))
    assert [outcome.value for outcome in outcomes] == [0, 1, 2, None, 4, 5]
    assert [outcome.ok for outcome in outcomes] == [True, True, True, False, True, True]
    assert str(outcomes[3].error) == "fail_on_three, item 3: ValueError: three is too many"
    with pytest.raises(StepError, match="three is too many"):
        outcomes[3].get()


def test_attempts_are_lazy(engine, jobs):
    taken = []
    outcomes = engine.attempts(jobs.double, (taken.append(i) or i for i in range(1000)))
    assert taken == []
    assert next(outcomes).get() == 0
    assert len(taken) <= 1 + 2 * engine.parallelism
    outcomes.close()
    assert list(engine.map(jobs.double, [4])) == [8]


def test_an_error_of_the_items_is_the_callers_own(engine, jobs):
    def items():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(engine.map(jobs.double, items()))


def test_actors_keep_their_state_and_order(hosting, jobs):
    actors = hosting.workers(2, jobs.Counter)
    futures = [actors[0].call("add", amount) for amount in (1, 2, 3)]
    assert [future.result() for future in futures] == [1, 3, 6]
    assert actors[1].call("add", 10).result() == 10
    assert [actor.call("where").result()[0] for actor in actors] == [0, 1]


def test_actor_errors(hosting, jobs):
    (actor,) = hosting.workers(1, jobs.Counter)
    with pytest.raises(StepError, match="worker 0, fail: KeyError: 'gone'"):
        actor.call("fail").result()
    with pytest.raises(DataError, match="bad cell"):
        actor.call("ours").result()
    with pytest.raises(StepError, match="worker 0, none: AttributeError"):
        actor.call("none").result()
    assert actor.call("add", 1).result() == 1


def test_a_factory_that_fails(hosting, jobs):
    with pytest.raises(StepError, match="Counter, worker 5: ValueError: no five"):
        hosting.workers(6, jobs.Counter)


def test_a_closed_actor(hosting, jobs):
    (actor,) = hosting.workers(1, jobs.Counter)
    actor.close()
    actor.close()
    with pytest.raises(StepError, match="worker 0, add: the worker is closed"):
        actor.call("add", 1).result()


def test_at_least_one_worker(hosting, jobs):
    with pytest.raises(UsageError, match="expected at least 1 worker, found 0"):
        hosting.workers(0, jobs.Counter)
