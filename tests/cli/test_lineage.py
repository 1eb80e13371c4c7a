from __future__ import annotations

import pytest

TABLES = """
import polars as pl
from gristmill import label, step

@step
def messages():
    return pl.DataFrame({"row_id": [7, 8, 9], "text": ["win now", "see you", "so what"]})

@step
def votes(messages):
    functions = [label.keywords("prize", ["win"], "spam"), label.keywords("chat", ["you"], "ham")]
    return label.apply(functions, messages, classes=["ham", "spam"])

@step
def labels(votes, messages):
    return label.LabelModel(["ham", "spam"]).fit(votes).predict(votes)
"""


@pytest.fixture
def tables(project):
    project.write("pipeline.py", TABLES)
    assert project("run").code == 0
    return project


def test_the_tree_of_a_step(project):
    project("run")
    lines = project("lineage", "total").out.splitlines()
    names = [line.split()[0] for line in lines if "step " not in line]
    assert names == ["total", "total", "scaled", "numbers"]
    assert "step scaled, run 2" in "\n".join(lines)
    assert lines[-1].endswith(", 1 part of code")


def test_json_has_the_code_of_every_step(project):
    project("run")
    told = project("lineage", "total", "--json").json
    total, scaled, numbers = told["artifacts"]
    assert (total["name"], total["step"]) == ("total", "total")
    assert "helpers.scale" in scaled["code"]["parts"]
    assert scaled["relatives"] == [numbers["artifact"]]
    assert numbers["relatives"] == []


def test_the_other_way(project):
    project("run")
    lines = project("lineage", "numbers", "--down").out.splitlines()
    names = [line.split()[0] for line in lines if "step " not in line]
    assert names == ["numbers", "numbers", "scaled", "total"]
    told = project("lineage", "numbers", "--down", "--json").json
    assert (told["direction"], len(told["artifacts"])) == ("down", 3)


def test_an_artifact_by_its_first_digits(project):
    digest = project("run", "--json").json["steps"][1]["artifact"]
    assert project("lineage", digest[:8]).out.splitlines()[1].split()[1] == digest[:12]


def test_a_label_is_explained_and_leads_to_its_functions(tables):
    out = tables("lineage", "labels/7").out
    assert out.startswith("labels/7\n  row 7: spam")
    assert "prize: spam" in out
    assert "- prize " in out
    assert "- chat " in out
    assert "messages  " in out
    assert tables("lineage", "labels/7", "--json").json["about"][0].startswith("row 7: spam")


def test_a_row_of_a_table(tables):
    lines = tables("lineage", "messages/8").out.splitlines()
    assert lines[1:3] == ["  row_id: 8", "  text: see you"]


def test_what_appears_twice_is_drawn_once(tables):
    out = tables("lineage", "labels").out
    assert out.count("(see above)") == 1
    told = tables("lineage", "labels", "--json").json["artifacts"]
    assert len({one["artifact"] for one in told}) == len(told)


@pytest.mark.parametrize("name", ["nothing", "labels/70", "messages/70", "p0-0-0"])
def test_unknown_ids_are_refused_without_a_traceback(tables, name):
    answer = tables("lineage", name)
    assert answer.code in (2, 5)
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err


def test_a_result_without_rows_has_none(project):
    project("run")
    answer = project("lineage", "total/0")
    assert answer.code == 2
    assert "there is no row 'total/0': its result is no table" in answer.err


BUNDLED = """
from pathlib import Path
from gristmill import step
from gristmill.store.bundle import Bundle

@step
def rows():
    return [1, 2]

@step
def model(rows, path: Path = Path("spam")):
    return Bundle.open(path)
"""


@pytest.fixture
def served(project, spam_bundle, tmp_path):
    """A registered bundle that has answered two rows, one of which was corrected."""
    import numpy as np

    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.watch.prediction_log import PredictionLog
    from gristmill.serve.watch.truth_log import Telling, TruthLog
    from gristmill.store.project import Project
    from gristmill.store.registry import Registry
    from gristmill.store.runs import RunLog

    project.write("pipeline.py", BUNDLED)
    (project.root / "spam").symlink_to(spam_bundle.folder)
    assert project("run").code == 0
    with Project(project.root) as opened:
        registry = Registry(opened)
        last = RunLog(opened).last("pipeline.py", "model")
        registry.register("filter", last.output)
        registry.decide("filter", 1, "promote", ["first"], author="ana")
    folder = tmp_path / "served"
    version = spam_bundle.fingerprint
    with PredictionLog(folder, classes=("ham", "spam")) as log:
        name = log.name(version)
        probs = np.array([[0.25, 0.75], [1.0, 0.0]])
        answers = Rows({"label": ["spam", "ham"], "prob": probs.max(axis=1), "probs": probs})
        log.note(name, version, Rows({"text": ["so what", "see you"]}), answers, ["a", "b"])
        log.flush()
    truths = TruthLog(folder)
    truths.tell([Telling(f"{name}-0", "ham", who="ana", correction=True)])
    truths.close()
    return project, folder, f"{name}-0"


def test_a_served_prediction_leads_to_its_bundle_and_to_the_rows(served):
    project, folder, name = served
    out = project("lineage", name, "--served", str(folder)).out
    for word in ("text so what", "answered: label spam", "truth: ham", "by ana as a correction"):
        assert word in out
    for word in ("registered as filter 1, champion since ", "answered 2 predictions", "  rows  "):
        assert word in out
    assert (
        "not among the predictions" in project("lineage", f"{name}9", "--served", str(folder)).out
    )


def test_from_the_rows_down_to_what_answers(served):
    project, folder, _ = served
    out = project("lineage", "rows", "--down", "--served", str(folder)).out
    assert "registered as filter 1, champion since " in out
    assert "answered 2 predictions" in out


def test_a_registered_model_by_alias_and_version(served):
    project, _, _ = served
    told = project("lineage", "filter@champion", "--json").json
    assert told == {**project("lineage", "filter@1", "--json").json, "id": "filter@champion"}
    (bundle, _) = told["artifacts"]
    assert bundle["kind"] == "bundle"
    assert bundle["standing"][0].startswith("registered as filter 1, champion since ")
    for unknown in ("filter@candidate", "filter@7", "nothing@champion"):
        answer = project("lineage", unknown)
        assert answer.code == 2
        assert answer.err.startswith("error: ")
