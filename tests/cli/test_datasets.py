from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from gristmill.cli.datasets import command
from gristmill.core.errors import DataError, UsageError
from gristmill.data import catalog, read_table

MEMBER = b'v1,v2,,,\r\nham,"Go, crazy..",,,\r\nspam,win,,,'


@pytest.fixture
def sms(monkeypatch, tmp_path):
    """A catalogue whose SMS set is two messages on this disk."""
    path = tmp_path / "spam.csv"
    path.write_bytes(MEMBER)
    monkeypatch.setattr(catalog, "fetch_member", lambda source, name: path)
    entry = catalog.dataset("sms_spam")
    fields = {key: getattr(entry, key) for key in entry.__slots__} | {"rows": 2}
    monkeypatch.setitem(catalog._CATALOG, "sms_spam", catalog.Dataset(**fields))


def run(*args):
    return CliRunner().invoke(command, [str(arg) for arg in args])


def test_lists_what_there_is():
    result = run()
    assert result.exit_code == 0
    for entry in catalog.datasets():
        assert entry.name in result.output
        assert str(entry.rows) in result.output


def test_lists_as_json():
    entries = json.loads(run("--json").output)
    assert [entry["name"] for entry in entries] == [entry.name for entry in catalog.datasets()]
    assert {entry["name"]: entry["package"] for entry in entries}["sms_spam"] == (
        "textdescriptives==2.8.4"
    )
    assert set(entries[0]) == {"name", "title", "rows", "licence", "origin", "package"}


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl"])
def test_writes_a_file(sms, tmp_path, name):
    result = run("sms_spam", "-o", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert result.output == f"wrote 2 rows to {tmp_path / name}\n"
    assert read_table(tmp_path / name).equals(
        pl.DataFrame({"row_id": [0, 1], "label": ["ham", "spam"], "text": ["Go, crazy..", "win"]})
    )


def test_writes_beside_you_by_default(sms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / ".")
    payload = json.loads(run("sms_spam", "--json").output)
    assert payload == {
        "name": "sms_spam",
        "file": "sms_spam.csv",
        "rows": 2,
        "columns": ["row_id", "label", "text"],
    }
    assert (tmp_path / "sms_spam.csv").exists()


def test_unknown_data_set(tmp_path):
    error = run("sms", "-o", tmp_path / "a.csv").exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2


def test_a_wrong_suffix_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "fetch_member", lambda *_: pytest.fail("fetched"))
    error = run("sms_spam", "-o", tmp_path / "a.xlsx").exception
    assert isinstance(error, DataError)
    assert "cannot tell the format from the suffix '.xlsx'" in str(error)


def test_help_teaches():
    text = run("--help").output
    assert "gristmill datasets adult -o adult.parquet" in text
    assert "Exit codes" in text
