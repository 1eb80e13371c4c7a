"""Values travel as the bytes that a store would keep of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import StoreError
from gristmill.core.intervals import Interval
from gristmill.core.scratch import Scratch
from gristmill.store.parcels import pack
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

FRAME = pl.DataFrame({"a": [1, 2]})
VALUES = {
    "plain": {"a": [1, None, "x"]},
    "table": FRAME,
    "structs": [Interval(0.5, 0.4, 0.6), Interval(0.1, 0.0, 0.2)],
    "mixed": [FRAME, 3, np.arange(3)],
    "empty": [],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_arrives_with_the_digest_of_its_artifact(name: str, tmp_path: Path) -> None:
    value = VALUES[name]
    parcel, encoded = pack(value)
    with Project(tmp_path) as project, Scratch() as scratch:
        log = RunLog(project)
        kept = log.keep(value)
        assert (parcel.digest, encoded.codec) == (kept.digest, kept.codec)
        for found in (parcel.unpack(scratch), log.load(kept.digest)):
            assert repr(found) == repr(value)
            assert type(found) is type(value)


def test_a_path_arrives_as_a_file_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    parcel, _ = pack(tmp_path / "a.txt")
    with Scratch() as scratch:
        found = parcel.unpack(scratch)
        assert isinstance(found, Path)
        assert (found.name, found.read_text()) == ("a.txt", "x")
    assert not found.exists()


def test_what_cannot_be_stored_cannot_be_packed() -> None:
    with pytest.raises(StoreError, match="cannot store a value of type object"):
        pack([FRAME, object()])
