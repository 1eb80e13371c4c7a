from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import DataError, UsageError
from gristmill.data import files


def test_missing_file_names_close_ones(tmp_path):
    (tmp_path / "messages.csv").write_text("a\n1\n")
    with pytest.raises(DataError) as error:
        files.existing_file(tmp_path / "mesages.csv")
    assert str(error.value) == (
        f"{tmp_path}/mesages.csv: there is no such file\n  fix: did you mean messages.csv?"
    )


def test_missing_file_with_nothing_like_it(tmp_path):
    with pytest.raises(DataError) as error:
        files.existing_file(tmp_path / "x.csv")
    assert error.value.fix == f"no name like it in {tmp_path}"


def test_missing_folder(tmp_path):
    with pytest.raises(DataError) as error:
        files.existing_file(tmp_path / "no" / "x.csv")
    assert error.value.fix == f"the folder {tmp_path}/no does not exist either: check the path"


def test_folder_suggests_a_file_in_it(tmp_path):
    (tmp_path / "b.csv").write_text("a\n")
    (tmp_path / "notes.txt").write_text("a\n")
    with pytest.raises(DataError) as error:
        files.existing_file(tmp_path)
    assert error.value.message == "expected a file, found a folder"
    assert error.value.fix == "name a file in it, such as b.csv"


def test_empty_file(write):
    path = write("a.csv", b"")
    with pytest.raises(DataError, match=r"a\.csv: the file is empty \(0 bytes\)"):
        files.existing_file(path)


def test_gzip_is_told_by_its_bytes(write):
    path = write("plain.csv", gzip.compress(b"a\n1\n"))
    assert files.is_gzip(path)
    assert files.read_bytes(path) == b"a\n1\n"


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip(write, damage):
    data = bytearray(gzip.compress(b"a,b\n" * 500))
    if damage == "cut":
        data = data[:-9]
    else:
        data[len(data) // 2] ^= 0xFF
    with pytest.raises(DataError, match="the gzip data is damaged"):
        files.read_bytes(write("a.csv.gz", bytes(data)))


def test_a_path_that_cannot_be_opened_is_a_data_error():
    with pytest.raises(DataError, match="the file cannot be read: No such file"):
        files.read_bytes(Path("/nonexistent/file.csv"))


def test_latin_1_where_utf_8_was_said():
    with pytest.raises(DataError) as error:
        files.to_utf8("a,b\n1,x\n2,caf\xe9\n".encode("latin-1"), "utf-8", "f.csv")
    assert str(error.value) == (
        "f.csv, line 3: byte 0xE9 at offset 13 is not valid utf-8\n"
        '  fix: convert the file (iconv -f latin1 -t utf-8), or in Python pass encoding="latin-1"'
    )


def test_bad_byte_far_into_the_data_has_its_offset_from_the_start(monkeypatch):
    monkeypatch.setattr(files, "_BLOCK_BYTES", 7)
    with pytest.raises(UnicodeDecodeError) as error:
        files.check_utf8(b"abc\n" * 10 + b"\xff")
    assert error.value.start == 40


@given(st.binary(max_size=60), st.integers(1, 9))
def test_check_utf8_agrees_with_decode(data, block):
    def outcome(check):
        try:
            check()
        except UnicodeDecodeError as error:
            return error.start
        return None

    before, files._BLOCK_BYTES = files._BLOCK_BYTES, block
    try:
        assert outcome(lambda: files.check_utf8(data)) == outcome(lambda: data.decode("utf-8"))
    finally:
        files._BLOCK_BYTES = before


def test_marks_are_stripped():
    assert files.to_utf8(b"\xef\xbb\xbfa", "utf-8", "f") == b"a"
    assert files.to_utf8("a£".encode("utf-16"), "utf-16", "f") == "a£".encode()


def test_mark_of_another_encoding():
    with pytest.raises(DataError) as error:
        files.to_utf8("a".encode("utf-16"), "utf-8", "f.csv")
    assert error.value.message == "expected utf-8, found the byte order mark of utf-16"
    assert error.value.fix == 'convert the file to utf-8, or in Python pass encoding="utf-16"'


def test_unknown_encoding():
    with pytest.raises(UsageError, match="unknown text encoding 'klingon'"):
        files.to_utf8(b"a", "klingon", "f")


def test_text_with_marks_keeps_every_byte():
    text = files.to_text_with_marks(b"a\xe9b", "utf-8", "f")
    assert text.encode("utf-8", "surrogateescape") == b"a\xe9b"
