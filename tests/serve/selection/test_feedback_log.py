import os
import subprocess
import sys
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.journal.segments import segment_files
from gristmill.serve.selection.feedback_log import FeedbackLog, LogLimits
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.learner import Learnt
from gristmill.serve.selection.log_records import Head, encode
from gristmill.serve.selection.policy import PolicyState
from gristmill.serve.selection.thompson import Thompson

SERVES = """
import sys
from pathlib import Path
from gristmill.serve.selection.feedback_log import FeedbackLog, LogLimits
from gristmill.serve.selection.kinds import policy_named
limits = LogLimits(segment_bytes=3000, max_bytes=20_000)
log = FeedbackLog(Path(sys.argv[1]), policy_named("thompson", 2), ["a", "b"], limits=limits)
names = []
for step in range(10**9):
    choice = log.learner.choose(step % 10 / 10)
    said = [["x"] if arm == choice.arm else [] for arm in range(2)]
    named = log.predicted(choice, said, rows=1, request="r", model="m")
    names.append(named.name + "-0")
    if step % 2:
        log.feedback(names[step - step % 3 - 1], loss=step % 7 / 7)
    print(step, log.awaiting.next, log.learner.snapshot(), sep="|", flush=True)
    if step == int(sys.argv[2]):
        sys.stdin.read()
"""


def known(log):
    """Everything that has to survive a restart."""
    waiting = log.awaiting
    predictions = {number: waiting.find(number, 0, log.clock()) for number in range(waiting.next)}
    return log.learner.snapshot(), waiting.first, waiting.next, predictions


def test_feedback_is_joined_once(open_log, predict):
    log = open_log()
    name = predict(log)
    assert log.feedback(f"{name}-0", loss=0.5) == "joined"
    assert log.feedback(f"{name}-0", loss=0.5) == "repeated"
    assert log.feedback(f"{name}-1", loss=0.5) == "unknown"
    assert log.feedback("p0123abcd-00000000001111111111-0", loss=0.5) == "unknown"
    assert log.feedback("nonsense", loss=0.5) == "unknown"
    assert dict(log.counts) == {"joined": 1, "repeated": 1, "unknown": 3}
    assert sum(log.learner.state().loss[:3]) == 0.5


def test_the_policy_learns_from_the_arm_that_answered(open_log, predict):
    log = open_log()
    for _ in range(200):
        for arm, loss in enumerate((0.9, 0.1, 0.9)):
            log.feedback(f"{predict(log, arm=arm)}-0", loss=loss)
    assert log.learner.probabilities()[1] > 0.9


def test_the_truth_tells_the_loss_of_every_arm_that_was_asked(open_log, predict):
    log = open_log("hedge")
    name = predict(log)
    assert log.feedback(f"{name}-0", truth="b") == "joined"
    state = log.learner.state()
    assert state.loss[1] == 0.0
    assert state.loss[0] == state.loss[2] > 0.0


def test_what_an_arm_says_later_is_compared_with_the_truth_too(open_log):
    log = open_log("hedge")
    choice = log.learner.choose(0.0)
    number, name = log.predicted(choice, [["a"], [], []], rows=1, request="r", model="m")
    log.shadowed(number, 2, ["c"])
    log.feedback(f"{name}-0", truth="c")
    state = log.learner.state()
    assert state.weight[:3] == (1.0, 0.0, 1.0)
    assert state.loss[2] < state.loss[1] < state.loss[0]


def heard(log):
    """How many rows each pair was heard on whose truth is awaited, and on how many they differ."""
    state = log.learner.state()
    return state.weight[3:6], state.loss[3:6]


def test_answers_are_compared_before_anybody_knows_the_truth(open_log):
    log = open_log(options={"shadow": 1.0})
    choice = log.learner.choose(0.0)
    said = [["a", "a"], [], ["c", "a"]]
    number, name = log.predicted(choice, said, rows=2, request="r", model="m")
    assert heard(log) == ((0.0, 2.0, 0.0), (0.0, 1.0, 0.0))
    log.feedback(f"{name}-1", truth="a")
    assert heard(log) == ((0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    # What is heard later is compared on the row that still waits alone.
    log.shadowed(number, 1, ["c", "c"])
    assert heard(log) == ((1.0, 1.0, 1.0), (1.0, 1.0, 0.0))
    log.feedback(f"{name}-0", truth="c")
    assert heard(log) == ((0.0,) * 3, (0.0,) * 3)
    state = log.learner.state()
    assert (state.weight[:3], state.loss[:3]) == ((2.0, 1.0, 2.0), (1.0, 0.0, 0.0))


def test_a_holdout_that_all_have_answered_is_known_to_one_who_then_asks_less(open_log):
    log = open_log(options={"shadow": 1.0})
    for number in range(50):
        choice = log.learner.choose(0.0)
        said = [["a"], ["a" if number % 5 else "b"], ["a" if number % 2 else "b"]]
        name = log.predicted(choice, said, rows=1, request="r", model="m").name
        log.feedback(f"{name}-0", truth="a")
    learnt = log.learner.state()
    log.close()
    log = open_log()
    assert log.policy.share_shadowed() == 0.05
    assert log.learner.state() == learnt
    assert log.policy.believed(learnt) == pytest.approx((0.0, 0.2, 0.5), abs=0.02)


def test_a_loss_alone_says_nothing_of_the_others_that_were_asked(open_log):
    log = open_log(options={"shadow": 1.0})
    choice = log.learner.choose(0.0)
    _, name = log.predicted(choice, [["a"], ["b"], ["b"]], rows=1, request="r", model="m")
    log.feedback(f"{name}-0", loss=1.0)
    state = log.learner.state()
    assert (state.weight[:3], state.loss[:3]) == ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    assert heard(log)[0] == (0.0,) * 3


def test_what_was_heard_of_members_moves_with_them(open_log):
    log = open_log(options={"shadow": 1.0})
    choice = log.learner.choose(0.0)
    for truth in ("a", None):
        _, name = log.predicted(choice, [["a"], ["b"], ["b"]], rows=1, request="r", model="m")
        if truth:
            log.feedback(f"{name}-0", truth=truth)
    log.close()
    log = open_log(members=("c", "d", "a", "b"), options={"shadow": 1.0})
    state = log.learner.state()
    near = partial(pytest.approx, abs=0.01)
    assert state.loss[:4] == near((1.0, 0.0, 0.0, 1.0))
    # Pairs are now cd ca cb da db ab, and were ab ac bc.
    assert state.weight[4:10] == near((0.0, 1.0, 1.0, 0.0, 0.0, 1.0))
    assert state.loss[4:10] == near((0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    assert state.loss[14:20] == near((0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def test_a_choice_that_failed_is_the_whole_loss(open_log):
    log = open_log()
    choice = log.learner.choose(0.0)
    log.failed(choice)
    assert log.learner.state().loss[:3] == (1.0, 0.0, 0.0)
    assert log.counts["failed"] == 1


@pytest.mark.parametrize("delay", [0, 1, 100, 10_000])
def test_feedback_comes_any_number_of_requests_later(open_log, predict, delay):
    log = open_log("exp3")
    first = predict(log)
    for _ in range(delay):
        predict(log)
    assert log.feedback(f"{first}-0", loss=1.0) == "joined"


def test_what_was_too_long_ago_has_expired(open_log, predict, clock):
    log = open_log(limits={"capacity": 3, "max_age": 60.0})
    names = [predict(log) for _ in range(5)]
    statuses = [log.feedback(f"{name}-0", loss=0.0) for name in names]
    assert statuses == ["expired", "expired", "joined", "joined", "joined"]
    last = predict(log)
    clock.now += 61
    assert log.feedback(f"{last}-0", loss=0.0) == "expired"


steps = st.lists(
    st.tuples(st.sampled_from("pfxs"), st.integers(0, 12), st.integers(1, 3), st.floats(0, 1)),
    max_size=60,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps, st.sampled_from(["thompson", "exp3", "exp4", "hedge", "shadowed"]), st.booleans())
def test_a_log_that_is_opened_again_knows_what_it_knew(tmp_path_factory, found, kind, small):
    folder = tmp_path_factory.mktemp("log")
    limits = LogLimits(capacity=9, segment_bytes=300, max_bytes=3000) if small else LogLimits()

    def opened():
        policy = Thompson(3, shadow=0.5) if kind == "shadowed" else policy_named(kind, 3)
        return FeedbackLog(folder, policy, ["a", "b", "c"], limits=limits, most_contexts=3)

    names = ["nonsense"]
    with opened() as log:
        for what, which, rows, part in found:
            context = "wxyz"[which % 4]
            if what == "p":
                choice = log.learner.choose(part * 0.999, context)
                said = [["a"] * rows, ["b"] * rows, []]
                named = log.predicted(
                    choice, said, rows=rows, request="r", model="m", context=context
                )
                names.append(named.name)
            elif what == "f":
                log.feedback(f"{names[-1 - which % len(names)]}-{rows - 1}", loss=part)
            elif what == "x":
                log.failed(log.learner.choose(part * 0.999, context), context)
            elif log.awaiting.next:
                log.shadowed(log.awaiting.next - 1, 2, ["z"] * 3)
        before = known(log)
    with opened() as log:
        assert known(log) == before
        assert log.damaged == 0


def test_segments_are_bounded_and_their_predictions_expire(open_log, predict, tmp_path):
    log = open_log(limits={"segment_bytes": 2000, "max_bytes": 8000})
    first = predict(log)
    for _ in range(300):
        predict(log)
    assert sum(path.stat().st_size for path in segment_files(tmp_path / "log")) < 12_000
    assert log.feedback(f"{first}-0", loss=0.0) == "expired"
    assert log.awaiting.first > 100


@pytest.mark.parametrize("stops_at", [301, -1])
def test_nothing_is_lost_to_a_kill(tmp_path, stops_at):
    """Killed while it waits, and while it writes."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVES, tmp_path / "log", str(stops_at)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            lines = [server.stdout.readline() for _ in range(302)]
        finally:
            server.kill()
        lines += server.stdout.readlines()
    _, following, learnt = [line for line in lines if line.endswith("\n")][-1].split("|")
    with FeedbackLog(tmp_path / "log", policy_named("thompson", 2), ["a", "b"]) as log:
        assert log.damaged == 0
        if stops_at < 0:
            assert int(following) <= log.awaiting.next <= int(following) + 1
        else:
            assert log.awaiting.next == int(following) == 302
            assert f"{log.learner.snapshot()}\n" == learnt


def test_a_torn_end_gives_no_name_twice(open_log, predict, tmp_path):
    log = open_log()
    predict(log)
    last = predict(log)
    log.close()
    path = segment_files(tmp_path / "log")[-1]
    path.write_bytes(path.read_bytes()[:-3])
    log = open_log()
    assert log.feedback(f"{last}-0", loss=0.0) == "expired"
    assert predict(log) != last


def test_members_that_moved_keep_what_is_known_of_them(open_log, predict):
    log = open_log("exp3", options={"half_life": 1e9})
    waiting = predict(log, arm=2)
    gone = predict(log, arm=0)
    log.feedback(f"{predict(log, arm=0)}-0", loss=0.2)
    log.feedback(f"{predict(log, arm=2)}-0", loss=0.3)
    lost = log.learner.state().loss[2]
    log.close()
    log = open_log("exp3", ("c", "b", "d"), options={"half_life": 1e9})
    assert log.learner.state().loss == (lost, 0.0, 0.0)
    assert log.feedback(f"{waiting}-0", loss=0.1) == "joined"
    assert log.feedback(f"{gone}-0", loss=0.1) == "expired"
    before = known(log)
    log.close()
    assert known(open_log("exp3", ("c", "b", "d"), options={"half_life": 1e9})) == before


def test_another_policy_learns_from_what_the_log_still_has(open_log, predict):
    log = open_log("exp3")
    for _ in range(50):
        log.feedback(f"{predict(log, arm=0)}-0", loss=0.0)
        log.feedback(f"{predict(log, arm=1)}-0", loss=1.0)
    log.close()
    log = open_log("thompson")
    assert log.learner.state().weight[0] > 40
    assert log.learner.probabilities()[0] > log.learner.probabilities()[1]


def test_a_log_that_cannot_be_written_changes_nothing(open_log, predict, monkeypatch):
    log = open_log()
    name = predict(log)
    before = known(log)

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="could not be written: No space left on device"):
        log.feedback(f"{name}-0", loss=1.0)
    with pytest.raises(StoreError, match="could not be written"):
        predict(log)
    monkeypatch.undo()
    assert known(log) == before
    assert log.feedback(f"{name}-0", loss=1.0) == "joined"


def test_wrong_feedback_is_an_error(open_log, predict):
    log = open_log()
    name = f"{predict(log)}-0"
    with pytest.raises(UsageError, match=r"expected a loss in \[0, 1\], found 1.5"):
        log.feedback(name, loss=1.5)
    with pytest.raises(UsageError, match="expected either a loss or the true answer"):
        log.feedback(name)
    with pytest.raises(UsageError, match="expected 3 members of different names"):
        type(log)(log._log.folder, log.policy, ["a", "a", "b"])
    with pytest.raises(UsageError, match="capacity must be above 0, found 0"):
        LogLimits(capacity=0)


def test_a_truth_that_is_no_class_teaches_nobody(open_log, predict):
    log = open_log(classes=("a", "b"))
    name, before = predict(log), log.learner.snapshot()
    for truth in ("A", 3):
        with pytest.raises(UsageError, match="expected one of the classes a, b, found"):
            log.feedback(f"{name}-0", truth=truth)
    assert log.learner.snapshot() == before
    assert log.feedback(f"{name}-0", truth="b") == "joined"


def test_the_truth_says_nothing_of_answers_that_were_not_kept(open_log):
    log = open_log()
    choice = log.learner.choose(0.0)
    _, name = log.predicted(choice, [[], [], []], rows=2, request="r", model="m")
    with pytest.raises(UsageError, match="no classes or numbers to compare with the truth"):
        log.feedback(f"{name}-1", truth="a")
    assert log.feedback(f"{name}-1", loss=0.5) == "joined"


def test_what_was_learnt_in_another_form_is_learnt_again(open_log, predict):
    log = open_log()
    assert log.feedback(f"{predict(log)}-0", loss=0.5) == "joined"
    before = log.learner.state()
    odd = Learnt(PolicyState(0.0, (9.0,), (9.0,)), 1)
    log._log.begin(encode(Head(log.awaiting.next, log.members, log.policy, [("", odd)])))
    log.close()
    assert open_log().learner.state() == before
