import shutil

import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.selection.comparison import candidate, compare, logs_in, usual_candidates
from gristmill.serve.selection.exp3 import Exp3
from gristmill.serve.selection.exp4 import Exp4
from gristmill.serve.selection.fixed import Fixed
from gristmill.serve.selection.logged_outcomes import logged_data

MEMBERS = ("a", "b", "c")


@pytest.fixture
def played(open_log, predict):
    """played(policy, ...): a log of 300 choices, in which `b` loses nothing and others do."""

    def played(policy="fixed", options=None, truth="b", members=MEMBERS):
        options = options or {"shares": (0.4, 0.3, 0.3)} if policy == "fixed" else options
        with open_log(policy, members, options) as log:
            for number in range(300):
                name = predict(log, draw=(number * 0.618) % 1.0)
                log.feedback(f"{name}-0", truth=truth)
        return log._log.folder

    return played


def test_candidates_by_name():
    assert candidate("exp3:eta=0.5,floor=0.1", MEMBERS).policy == Exp3(3, eta=0.5, floor=0.1)
    assert candidate("always:b", MEMBERS).policy == Fixed(3, shares=(0.0, 1.0, 0.0))
    advised = candidate('{"name": "exp4", "experts": [{"": [0, 0.5, 0.5]}]}', MEMBERS).policy
    assert advised == Exp4(3, experts=({"": (0.0, 0.5, 0.5)},))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("always:d", "expected always:MODEL, found 'always:d'"),
        ("exp3:eta", "expected KEY=NUMBER, found 'eta' without a value"),
        ("exp3:eta=much", "expected KEY=NUMBER, found eta=much"),
        ("exp3:speed=1", "policy 'exp3' has no option 'speed'"),
        ('{"eta": 1}', "policy: expected its name, found none"),
        (
            "{}}",
            "expected a JSON object, found '{}}': JSON is malformed: trailing characters (byte 3)",
        ),
    ],
)
def test_texts_that_name_nothing(text, message):
    with pytest.raises(UsageError) as caught:
        candidate(text, MEMBERS)
    assert caught.value.message == message


def test_the_better_policy_has_the_lower_estimate(played):
    found = compare(played(), ["always:a", "always:b", "thompson"])
    assert (found.outcomes, found.predicted, found.share_told) == (300, 300, 1.0)
    losses = {each.policy: each.evaluation.self_normalised.value for each in found.policies}
    assert losses["always:a"] == 1.0
    assert losses["always:b"] == 0.0
    assert losses["always:b"] < losses["thompson"] < 0.5
    effective = {each.policy: each.evaluation.effective for each in found.policies}
    assert effective["always:b"] == pytest.approx(90, abs=3)
    doubts = found.policies[1].evaluation.doubts
    assert doubts == (f"too few effective outcomes: {effective['always:b']:.0f} of 300, at least "
                      "100 are needed",)  # fmt: skip


def test_it_is_the_same_under_a_seed(played):
    folder = played()
    assert compare(folder, ["exp3"], seed=3) == compare(folder, ["exp3"], seed=3)
    assert compare(folder, ["exp3"], seed=3) != compare(folder, ["exp3"], seed=4)


def test_hedge_is_a_usual_candidate_where_all_models_were_asked(played):
    names = [each.name for each in usual_candidates(logged_data(played()))]
    always = [f"always:{name}" for name in MEMBERS]
    assert names == ["thompson", "exp3", "epsilon_greedy", *always]


def test_with_all_losses_known_policies_are_played(played):
    found = compare(played("hedge"))
    by_name = {each.policy: each.evaluation for each in found.policies}
    assert by_name["always:b"].self_normalised.value == 0.0
    assert by_name["hedge"].supported


def test_logs_are_found_below_a_folder(played, tmp_path):
    folder = played().rename(tmp_path / "a log")
    assert logs_in(folder) == [folder]
    assert logs_in(tmp_path) == [folder]
    shutil.copytree(folder, tmp_path / "routes" / "spam")
    assert logs_in(tmp_path) == [folder, tmp_path / "routes" / "spam"]
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="expected a feedback log"):
        logs_in(tmp_path / "none")


def test_a_log_without_feedback(open_log, predict):
    with open_log() as log:
        predict(log)
    found = compare(log._log.folder)
    assert (found.outcomes, found.predicted, found.policies) == (0, 1, [])
