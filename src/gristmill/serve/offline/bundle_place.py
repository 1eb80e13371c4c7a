"""Where a worker finds the bundle: in its own folder, or, sent once, in a copy on its machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gristmill.core.errors import BundleError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.store.bundle import MANIFEST, Bundle

_COPIES = "gristmill-bundles"


@dataclass(frozen=True)
class BundlePlace:
    """A bundle's folder.

    Attributes:
        folder: where it is, absolute.
        mark: the bundle's fingerprint.
    """

    folder: Path
    mark: str


@dataclass(frozen=True)
class SentBundle(BundlePlace):
    """A bundle whose files go along where it is sent.

    Where the folder is not seen, they are put into a folder for temporary files, once a machine
    however many processes ask for it, and are checked against the manifest and that against the
    fingerprint.
    """

    def __reduce__(self) -> tuple[object, ...]:
        bundle = Bundle.open(self.folder)
        if bundle.fingerprint != self.mark:
            raise BundleError(
                f"expected fingerprint {self.mark}, found {bundle.fingerprint}",
                where=str(self.folder),
                fix="don't replace a bundle while it predicts",
            )
        files = {name: bundle.read(name) for name in bundle.manifest.files}
        files[MANIFEST] = (self.folder / MANIFEST).read_bytes()
        return _arrived, (self.folder, self.mark, files)


def _arrived(folder: Path, mark: str, files: Mapping[str, bytes]) -> BundlePlace:
    """Return where the bundle is on this machine.

    Raises:
        BundleError: what has arrived is not what was sent, or cannot be written.
    """
    if _is_seen(folder, mark):
        return BundlePlace(folder, mark)
    try:
        return BundlePlace(_kept(mark, files), mark)
    except OSError as error:
        raise BundleError(
            f"the bundle cannot be copied to this machine: {error.strerror or error}",
            where=str(error.filename or _copies()),
            fix="make room there, or set TMPDIR to a folder that can be written",
        ) from error


def _kept(mark: str, files: Mapping[str, bytes]) -> Path:
    """Write the files where a whole copy is not there yet; return its folder."""
    copies = _copies()
    target = copies / mark
    if _is_copy(target, mark):
        return target
    copies.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=copies, prefix=f"{mark}."))
    try:
        for name, data in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        Bundle.open(draft)
        if target.exists():  # damaged: a folder cannot be renamed over it
            shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    except OSError:
        if not _is_copy(target, mark):  # another process was first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _copies() -> Path:
    return Path(tempfile.gettempdir()) / f"{_COPIES}-{os.getuid()}"


def _is_copy(folder: Path, mark: str) -> bool:
    try:
        return Bundle.open(folder).fingerprint == mark
    except BundleError:
        return False


def _is_seen(folder: Path, mark: str) -> bool:
    """Tell whether the bundle's own folder is there; opening it checks its files."""
    try:
        return fingerprint_bytes((folder / MANIFEST).read_bytes()) == mark
    except OSError:
        return False
