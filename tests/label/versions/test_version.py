from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label import LabelModel, Labels, Votes
from gristmill.label.versions.content import content_hashes
from gristmill.label.versions.version import LabelVersion, Made, is_version, labels_of
from gristmill.store.project import Project
from gristmill.store.runs import RunLog

ROWS = pl.DataFrame({"row_id": [7, 8, 9], "text": ["hi", "WIN", "so"]})
VOTES = Votes.from_matrix(
    [[0, 0], [1, -1], [-1, -1]], classes=["ham", "spam"], names=["a", "b"], row_ids=[7, 8, 9]
)


def labels() -> Labels:
    return LabelModel(VOTES.classes).fit(VOTES, {8: "ham"}).predict(VOTES)


def version(made: Made | None = None) -> LabelVersion:
    return LabelVersion.of(labels(), ROWS, estimated={"a": 0.8}, made=made)


def test_each_source_has_its_quality() -> None:
    first, second = version().sources.to_dicts()
    assert (first["source"], first["fingerprint"]) == ("a", VOTES.fingerprints[0])
    assert (first["correct"], first["incorrect"], first["accuracy"]) == (0, 1, 0.0)
    assert (first["low"], first["estimated"]) == (0.0, 0.8)
    assert first["high"] == pytest.approx(0.793, abs=0.001)
    assert (second["accuracy"], second["estimated"]) == (None, None)


def test_the_provenance_of_a_label() -> None:
    told = version(Made(run="r1", time="now", data="d.csv")).provenance(7)
    assert told["content"] == content_hashes(ROWS)["content"][0]
    assert (told["label"], told["origin"]) == (labels().explain(7).label, "model")
    assert told["made"] == {"run": "r1", "time": "now", "data": "d.csv"}
    said = {each["source"]: each for each in told["sources"]}
    assert set(said) == {"a", "b"}
    assert {(each["vote"], each["state"]) for each in said.values()} == {("ham", "voted")}
    assert said["a"]["fingerprint"] == VOTES.fingerprints[0]
    assert version().provenance(9)["sources"] == []
    with pytest.raises(LabelError, match="no row with id 1"):
        version().provenance(1)


def test_saving_and_loading(tmp_path: Path) -> None:
    made = version(Made(run="r1"))
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
        made.save(folder)
    again = LabelVersion.load(folders[0])
    assert again.__fingerprint__() == made.__fingerprint__()
    assert again.describe() == made.describe()
    assert again.table.columns[-1] == "content"
    assert is_version(folders[0])
    assert Labels.load(folders[0]).__fingerprint__() == made.labels.__fingerprint__()
    for path in folders[0].rglob("*.*"):
        assert path.read_bytes() == (folders[1] / path.relative_to(folders[0])).read_bytes()


@pytest.mark.parametrize("name", ["version.json", "content.parquet", "sources.parquet"])
def test_damaged_folders(tmp_path: Path, name: str) -> None:
    version().save(tmp_path)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(LabelError, match="this is no stored version of labels: "):
        LabelVersion.load(tmp_path)


def test_files_of_different_versions(tmp_path: Path) -> None:
    version().save(tmp_path)
    content_hashes(ROWS.head(2)).write_parquet(tmp_path / "content.parquet")
    with pytest.raises(LabelError, match="the files of this version do not belong together"):
        LabelVersion.load(tmp_path)


def test_another_table_is_refused() -> None:
    with pytest.raises(LabelError, match=r"^the table of 2 rows is not the one of these 3 labels"):
        LabelVersion.of(labels(), ROWS.head(2))


def test_a_project_keeps_versions(tmp_path: Path) -> None:
    with Project(tmp_path) as project:
        log = RunLog(project)
        kept = log.keep(version())
        assert log.keep(version()).digest == kept.digest
        assert (kept.kind, kept.rows) == ("labelversion", 3)
        again = log.load(kept.digest)
    assert isinstance(again, LabelVersion)
    assert again.explain(7) == version().explain(7)


def test_labels_of() -> None:
    bare = labels()
    assert labels_of(bare) is bare
    assert labels_of(version()).__fingerprint__() == bare.__fingerprint__()
