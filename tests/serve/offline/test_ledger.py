"""The folder of a prediction under way."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from gristmill.core.errors import DataError, ServeError
from gristmill.serve.offline.ledger import (
    ANSWERS,
    Ledger,
    PartRecord,
    kept_rows,
    opened_ledger,
    work_folder,
)

RECORD = PartRecord(rows=3, written=3, bad=0, warned=0, labels={"a": 3}, files={})


def test_parts_that_are_sound_come_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    stored = ledger.store(4, {ANSWERS: b"abc"}, RECORD)
    assert ledger.records() == {4: stored}
    assert ledger.read(4, ANSWERS, stored.files[ANSWERS]) == b"abc"
    ledger.path(4, ANSWERS).write_bytes(b"abd")
    with pytest.raises(ServeError, match="this finished part has changed since it was written"):
        ledger.read(4, ANSWERS, stored.files[ANSWERS])
    assert ledger.records() == {}
    assert not (tmp_path / "00000004.json").exists()


def test_a_folder_belongs_to_one_job(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.parquet"
    with suppress(ZeroDivisionError), opened_ledger(out, "a" * 32) as ledger:
        ledger.store(0, {}, RECORD)
        ledger.draft("x").write_bytes(b"half")
        raise ZeroDivisionError
    assert kept_rows(out) == 3
    with suppress(ZeroDivisionError), opened_ledger(out, "a" * 32) as ledger:
        assert list(ledger.records()) == [0]
        assert not list(ledger.folder.glob("*.draft"))
        raise ZeroDivisionError
    with opened_ledger(out, "b" * 32) as ledger:
        assert ledger.records() == {}
    assert not work_folder(out).exists()
    assert kept_rows(out) == 0


def test_a_lock_is_for_one_and_ends_with_its_holder(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with (
        opened_ledger(out, "a" * 32),
        pytest.raises(ServeError, match="another run is writing the same output"),
        opened_ledger(out, "a" * 32),
    ):
        pass
    with opened_ledger(out, "a" * 32):
        pass


@pytest.mark.parametrize("place", ["file/out.parquet", "/proc/out.parquet"])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"(file|/proc): the answers cannot be written: "),
        opened_ledger(tmp_path / place, "a" * 32),
    ):
        pass
