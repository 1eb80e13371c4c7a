"""`gristmill replay`: a table for people, JSON for machines, and its exit codes."""

import pytest

from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.kinds import policy_named
from gristmill.serve.selection.policy import Choice


@pytest.fixture
def log(prompt):
    """The folder of a server with one log: 200 choices of each model, `new` twice as good."""
    folder = prompt.root / "serving" / "routes" / "spam"
    policy = policy_named("fixed", 2, {"shares": (0.5, 0.5)})
    with FeedbackLog(folder, policy, ["stable", "new"]) as log:
        for number in range(400):
            arm = number % 2
            said = [[], []]
            said[arm] = ["spam"]
            made = log.predicted(
                Choice(arm, 0.5), said, rows=1, request=f"r{number}", model="0123456789"
            )
            right = number % 10 < 8 if arm else number % 10 < 5
            log.feedback(f"{made.name}-0", truth="spam" if right else "ham")
    return folder


def test_a_table_of_policies(prompt, log):
    answer = prompt("replay", "serving", "--policy", "always:new", "--policy", "always:stable")
    assert (answer.code, answer.err) == (0, "")
    first, *lines = answer.out.splitlines()
    assert first == (
        "serving/routes/spam: 400 outcomes of 400 predictions (100%), models stable, new"
    )
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert rows["always:new"][1:] == ["0.200", "0.145", "to", "0.255", "0.200", "200"]
    assert rows["always:stable"][1] == "0.400"
    assert rows["as"][2] == "0.300"
    assert max(map(len, lines)) <= 80


def test_a_policy_as_json_does_not_fill_the_table(prompt, log):
    experts = '{"name": "exp4", "experts": [{"": [0.5, 0.5]}, {"": [1.0, 0.0]}]}'
    answer = prompt("replay", "serving", "--policy", experts)
    assert answer.code == 0
    assert '{"name": "exp4", "experts": [...' in answer.out
    (found,) = prompt("replay", "serving", "--policy", experts, "--json").json
    assert found["policies"][0]["policy"] == experts


def test_what_the_log_cannot_answer_is_said(prompt, log):
    answer = prompt("replay", str(log), "--policy", "hedge")
    assert "hedge (!)" in answer.out
    assert "(!) hedge: the policy learns from the losses of all models: " in answer.out


def test_json_has_everything(prompt, log):
    (found,) = prompt("replay", "serving", "--json").json
    assert found["members"] == ["stable", "new"]
    names = [each["policy"] for each in found["policies"]]
    assert names == ["thompson", "exp3", "epsilon_greedy", "always:stable", "always:new"]
    evaluation = found["policies"][4]["evaluation"]
    assert evaluation["effective"] == 200
    assert evaluation["self_normalised"]["value"] == pytest.approx(0.2)
    assert evaluation["doubts"] == []


def test_a_log_without_feedback_hides_no_other(prompt, log):
    silent = log.parent / "silent"
    policy = policy_named("thompson", 2)
    with FeedbackLog(silent, policy, ["a", "b"]) as other:
        other.predicted(Choice(0, 0.5), [["x"], []], rows=1, request="r", model="0123456789")
    answer = prompt("replay", "serving", "--policy", "thompson")
    assert answer.code == 0
    first = answer.out.splitlines()[0]
    assert first.startswith("serving/routes/silent: 1 prediction, and feedback to none of them")
    assert "as logged" in answer.out
    alone = prompt("replay", str(silent))
    assert (alone.code, alone.out) == (2, "")
    assert "silent: 1 prediction, and feedback to none of them\n  fix: send feedback" in alone.err


def test_wrong_calls(prompt, log):
    answer = prompt("replay", "nowhere")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: nowhere: expected a feedback log")
    answer = prompt("replay", "serving", "--policy", "ucb")
    assert answer.code == 2
    assert "expected a policy of thompson, exp3" in answer.err
    (log / "00000001.log").write_bytes(b"something else, and longer than a head")
    assert prompt("replay", "serving").code == 7
