"""Artifacts in an object store: a server that speaks S3 on this machine."""

from __future__ import annotations

import pytest

from gristmill.core.errors import StoreError
from gristmill.store.artifacts import open_artifacts

pytestmark = [pytest.mark.s3, pytest.mark.xdist_group("s3")]


def folder(tmp_path, text="one"):
    made = tmp_path / f"made {text}"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text(text)
    (made / "deep" / "b.bin").write_bytes(b"\0" * 10_000)
    return made


def test_what_one_machine_puts_another_gets(s3_server, tmp_path):
    here = open_artifacts("s3://mill/artifacts", tmp_path / "here")
    digest, size = here.put(folder(tmp_path), "folder")
    there = open_artifacts("s3://mill/artifacts", tmp_path / "there")
    assert there.exists(digest)
    files = there.get(digest)
    assert files.is_relative_to(tmp_path / "there")
    assert (files / "a.txt").read_text() == "one"
    assert (files / "deep" / "b.bin").read_bytes() == b"\0" * 10_000
    assert size == 10_003


def test_artifacts_are_listed_and_removed(s3_server, tmp_path):
    artifacts = open_artifacts("s3://mill/removed", tmp_path / "here")
    assert list(artifacts.stored()) == []
    digests = {artifacts.put(folder(tmp_path, text), "folder")[0] for text in ("one", "two")}
    assert {stored.digest for stored in artifacts.stored()} == digests
    artifacts.remove(sorted(digests))
    assert list(artifacts.stored()) == []
    assert not any(artifacts.exists(digest) for digest in digests)


def test_a_bucket_that_is_not_there(s3_server, tmp_path):
    artifacts = open_artifacts("s3://none/artifacts", tmp_path / "here")
    with pytest.raises(StoreError) as error:
        artifacts.put(folder(tmp_path), "folder")
    assert error.value.message == "there is no such file or bucket"
    assert str(error.value.where).startswith("s3://none/artifacts")
