"""What routes tell of themselves, and when each kind can answer."""

import pytest

from gristmill.serve.routing.canary import Canary
from gristmill.serve.routing.ensemble import Ensemble
from gristmill.serve.routing.followed import Followed
from gristmill.serve.routing.selected import Selected
from gristmill.serve.routing.shadow import Shadow
from gristmill.serve.routing.swappable import Swappable
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.kinds import policy_named

KEY = bytes(16)


@pytest.fixture
def pair(endpoint):
    """pair("a"): endpoints `a` and `b`, of which those that are named can answer."""

    def pair(ready="ab"):
        made = [endpoint("a"), endpoint("b")]
        for each in made:
            each.ready = each.name in ready
        return made

    return pair


@pytest.fixture
def selected(tmp_path):
    logs = []

    def selected(members):
        logs.append(FeedbackLog(tmp_path / f"{len(logs)}", policy_named("exp3", 2), ["a", "b"]))
        return Selected("r", members, logs[-1])

    yield selected
    for log in logs:
        log.close()


def test_what_they_say(pair, selected):
    canary = Canary("r", *pair(), 0.125, key=KEY)
    assert canary.about() == {
        "kind": "canary",
        "models": ["a", "b"],
        "says": "canary: 12.5% of users to b, else a",
    }
    assert Canary("r", *pair(), 1.0, key=KEY, by="request").says() == (
        "canary: 100% of requests to b, else a"
    )
    assert Shadow("r", *pair(), share=0.5).says() == "shadow: a, b beside 50%"
    assert Ensemble("r", pair(), how="vote").says() == "ensemble: vote of a, b"
    assert selected(pair()).says() == "selection: exp3 over a, b"
    assert Followed("live", pair()[0], "v2").about()["says"] == "registry: v2 of live, its champion"


@pytest.mark.parametrize(
    ("ready", "canary", "strict", "shadow", "ensemble", "both", "selection"),
    [
        ("ab", True, True, True, True, True, True),
        ("a", True, False, True, True, False, True),
        ("b", False, False, False, True, False, True),
        ("", False, False, False, False, False, False),
    ],
)
def test_when_they_can_answer(
    pair, selected, ready, canary, strict, shadow, ensemble, both, selection
):
    routes = [
        Canary("r", *pair(ready), 0.5, key=KEY),
        Canary("r", *pair(ready), 0.5, key=KEY, fall_back=False),
        Shadow("r", *pair(ready)),
        Ensemble("r", pair(ready)),
        Ensemble("r", pair(ready), at_least=2),
        selected(pair(ready)),
    ]
    assert [each.ready for each in routes] == [canary, strict, shadow, ensemble, both, selection]
    assert Swappable("s", pair(ready)[0]).ready == ("a" in ready)
