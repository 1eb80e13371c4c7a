"""`gristmill export`: a run for a colleague, or for MLflow."""

from __future__ import annotations

import sys
import zipfile

import pytest


def test_a_run_in_a_folder_with_a_page(project, tmp_path) -> None:
    project.edit("helpers.py", "    return [", "    print('<scaling>')\n    return [")
    assert project("run").code == 0
    answer = project("export", "run", "last", str(tmp_path / "out"))
    assert answer.code == 0
    assert f"in {tmp_path / 'out'}: " in answer.out
    assert "there: gristmill run\n" in answer.out
    page = (tmp_path / "out" / "index.html").read_text()
    for word in ("numbers", "scaled", "total", "first run", "&lt;scaling&gt;", "polars=="):
        assert word in page
    assert "://" not in page.replace("http://www.w3.org", "")  # the name of SVG
    assert "<scaling>" not in page
    listed = project("runs", "--project", str(tmp_path / "out"), "--json").json
    assert [each["id"] for each in listed] == [project("runs", "--json").json[0]["id"]]


def test_a_zip_and_json(project, tmp_path) -> None:
    project("run")
    told = project("export", "run", "last", str(tmp_path / "out"), "--zip", "--json").json
    assert told["place"] == str(tmp_path / "out.zip")
    assert told["command"] == "gristmill run"
    assert told["missing"] == {}
    with zipfile.ZipFile(told["place"]) as file:
        assert "out/pipeline.py" in file.namelist()


def test_nothing_is_overwritten(project, tmp_path) -> None:
    project("run")
    answer = project("export", "run", "last", str(tmp_path))
    assert answer.code == 2
    assert "something already" in answer.err


@pytest.mark.parametrize("args", [(), ("everything",), ("tarball", "last", "out", "--zip")])
def test_what_else_to_export(project, args: tuple[str, ...]) -> None:
    answer = project("export", *args)
    assert answer.code == 2
    assert "run, mlflow" in answer.err
    assert not args or repr(args[0]) in answer.err
    assert "export mlflow" in project("export", "--help").out


def test_without_mlflow_the_message_says_what_to_install(project, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    project("run")
    answer = project("export", "mlflow", "last", "--tracking-uri", "http://127.0.0.1:1")
    assert answer.code == 2
    assert "pip install 'gristmill[mlflow]'" in answer.err


def test_what_is_no_address_of_a_server_is_no_folder_made_on_the_way(project, monkeypatch) -> None:
    project("run")
    for uri in ("", "127.0.0.1:5000", "mlruns"):
        answer = project("export", "mlflow", "last", "--tracking-uri", uri)
        assert answer.code == 2
        assert "http://mlflow.example.org:5000" in answer.err
    assert not list(project.root.glob("ml*"))
