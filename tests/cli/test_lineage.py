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


@pytest.mark.parametrize("name", ["nothing", "labels/70", "p0-0-0"])
def test_unknown_ids_are_refused_without_a_traceback(tables, name):
    answer = tables("lineage", name)
    assert answer.code in (2, 5)
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
