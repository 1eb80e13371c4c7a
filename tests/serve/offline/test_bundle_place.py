"""A bundle on its way to machines that do not see its folder."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import pytest

from gristmill.core.errors import BundleError
from gristmill.serve.offline.bundle_place import BundlePlace, SentBundle, _arrived
from gristmill.store.bundle import MANIFEST, WEIGHTS, Bundle


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of another machine."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def sent(bundle: Bundle) -> bytes:
    """The bundle as it travels; its folder is gone."""
    message = pickle.dumps(SentBundle(bundle.folder, bundle.fingerprint))
    bundle.folder.rename(bundle.folder.with_name("elsewhere"))
    return message


def test_a_folder_that_is_seen_is_not_copied(bundle: Bundle, copies: Path) -> None:
    sent = SentBundle(bundle.folder, bundle.fingerprint)
    found = pickle.loads(pickle.dumps(sent))
    assert found == BundlePlace(bundle.folder, bundle.fingerprint)
    assert list(copies.iterdir()) == []


def test_a_folder_that_is_not_seen_is_copied_once(bundle: Bundle, sent: bytes) -> None:
    first = pickle.loads(sent)
    assert Bundle.open(first.folder).fingerprint == bundle.fingerprint
    written = (first.folder / WEIGHTS).stat().st_mtime_ns
    second = pickle.loads(sent)
    assert second == first
    assert (second.folder / WEIGHTS).stat().st_mtime_ns == written
    assert [path.name for path in first.folder.parent.iterdir()] == [bundle.fingerprint]


def test_a_damaged_copy_is_written_again(bundle: Bundle, sent: bytes) -> None:
    folder = pickle.loads(sent).folder
    (folder / WEIGHTS).write_bytes(b"torn")
    assert Bundle.open(pickle.loads(sent).folder).fingerprint == bundle.fingerprint


def test_what_is_not_the_bundle_is_refused(bundle: Bundle, copies: Path) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files[MANIFEST] = (bundle.folder / MANIFEST).read_bytes()
    with pytest.raises(BundleError):
        _arrived(bundle.folder / "no", bundle.fingerprint, files | {WEIGHTS: b"others"})
    assert not list(copies.glob("*/*"))


def test_a_bundle_that_was_replaced_is_not_sent(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="expected fingerprint 00, found"):
        pickle.dumps(SentBundle(bundle.folder, "00"))


def test_a_machine_without_room_says_so(sent: bytes, copies: Path) -> None:
    copies.rmdir()
    copies.write_text("a file")
    with pytest.raises(BundleError, match="cannot be copied to this machine"):
        pickle.loads(sent)
