"""`gristmill feedback`: truths from a table, gold for the next training, and its exit codes."""

import pytest

from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.kept_predictions import kept_predictions
from gristmill.serve.watch.prediction_log import PredictionLog

FILE = """
folder = "serving"
[models.spam]
bundle = "bundles/spam"
keep_predictions = { rate = 0.5, age = "90d" }
[models.ham]
bundle = "bundles/ham"
[routes.both]
kind = "canary"
models = ["spam", "ham"]
share = 0.5
"""


@pytest.fixture
def served(prompt):
    """The folder of a model of which two predictions are kept, with the keys o-1 and o-2."""
    folder = prompt.root / "serving" / "served" / "spam"
    keys = ["o-1", "o-2"]
    with PredictionLog(folder, classes=("ham", "spam")) as log:
        rows = Rows({"text": ["win", "lunch"]})
        log.note(log.name("abcdef"), "abcdef", rows, Rows({"label": ["ham"] * 2}), keys)
    (prompt.root / "serving.toml").write_text(FILE)
    (prompt.root / "truths.csv").write_text("order,fraud\no-1,spam\no-7,ham\n")
    return folder


def test_a_table_is_joined_and_gathered(prompt, served):
    columns = ("--id", "order", "--truth", "fraud")
    answer = prompt("feedback", "serving.toml", "truths.csv", *columns, "--gold", "feedback")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "2 rows: 1 joined, 1 unknown",
        "  unknown: no such prediction is kept here: it was not made here, or was not in the "
        "sample: o-7",
        "feedback: 1 rows and 1 answers are new",
    ]
    assert [kept.truth for kept in kept_predictions(served)] == ["spam", None]
    found = prompt("feedback", "serving", "truths.csv", *columns, "--gold", "feedback", "--json")
    assert found.json["told"]["counts"] == {"repeated": 1, "unknown": 1}
    assert found.json["gold"] == {"rows": 0, "answers": 0}
    assert found.json["folder"] == "serving/served/spam"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ('{"id": "o-1", "label": "spam", "who": null}', '{"id": "o-2", "label": null}'),
            ["2 rows: 1 empty, 1 joined", "  empty: no id, or no truth; nothing was told"],
        ),
        (
            ('{"id": null, "label": null}', '{"id": null, "label": null}'),
            ["2 rows: 2 empty", "  empty: no id, or no truth; nothing was told"],
        ),
    ],
    ids=["some", "all"],
)
def test_cells_that_are_null(prompt, served, lines, said):
    (prompt.root / "told.jsonl").write_text("\n".join(lines) + "\n")
    answer = prompt("feedback", "serving.toml", "told.jsonl")
    assert (answer.code, answer.err, answer.out.splitlines()) == (0, "", said)


def test_where_several_are_kept_one_has_to_be_named(prompt, served):
    with PredictionLog(served.parent / "a%2Fb") as log:
        log.note(log.name("abcdef"), "abcdef", Rows({"x": [1]}), Rows({"y": [1]}), ["k"])
    columns = ("--id", "order", "--truth", "fraud")
    answer = prompt("feedback", "serving/served", "truths.csv", *columns)
    assert answer.code == 2
    assert "predictions of a/b, spam are kept here" in answer.err
    named = prompt(
        "feedback", "serving", "truths.csv", *columns, "--model", "spam", "--who", "anna"
    )
    assert named.code == 0
    assert [kept.who for kept in kept_predictions(served)] == ["anna", None]
    direct = prompt("feedback", "serving/served/spam", "truths.csv", *columns, "--correction")
    assert direct.code == 0
    assert [kept.correction for kept in kept_predictions(served)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("serving.toml",), 2, "expected a table of truths, or --gold FOLDER"),
        (("nowhere", "truths.csv"), 2, "no predictions are kept here"),
        (("serving.toml", "truths.csv", "--model", "ham"), 2, "no predictions of 'ham' are kept"),
        (("serving.toml", "truths.csv"), 5, "expected columns prediction_id or id and label"),
        (("serving.toml", "none.csv"), 5, "none.csv"),
    ],
)
def test_mistakes(prompt, served, arguments, code, words):
    answer = prompt("feedback", *arguments)
    assert answer.code == code
    assert words in answer.err
