"""The user's code that a run could reach, as it was when it ran."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from gristmill.core.fingerprint import fingerprint_bytes, fingerprint_file
from gristmill.core.packages import is_user_file, is_user_module
from gristmill.core.redaction import hidden_in, redacted

INDEX = "snapshot.json"
CODE = "code"
"""The folder of the files; they lie in it as they must for the pipeline to import them."""

MOST_FILE_BYTES = 1 << 20
MOST_BYTES = 1 << 24
_SECRET = re.compile(
    r"\.env(\..*)?|\.?(netrc|pgpass|pypirc|npmrc|htpasswd)|id_(rsa|dsa|ecdsa|ed25519).*"
    r"|.*\.(pem|key|p12|pfx|jks|keystore|kdbx|gpg|asc|token)|.*(secret|credential|password|passwd).*",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"pyproject\.toml|(requirements|constraints).*\.txt|(uv|poetry)\.lock")
"""What says which packages the code needs."""


class SnapshotIndex(msgspec.Struct, frozen=True):
    """What `snapshot.json` says.

    Attributes:
        pipeline: name of the pipeline's file.
        files: path in `code/` -> fingerprint of the file.
        skipped: path or module -> why it was not taken.
    """

    pipeline: str
    files: dict[str, str]
    skipped: dict[str, str] = {}


@dataclass
class Snapshot:
    """Source files in memory: read when their modules were first seen, so before anyone edits them.

    Args:
        folder: the pipeline's folder; what lies in it is filed by its path.
        pipeline: name of the pipeline's file.

    Attributes:
        sources: path in the snapshot -> the file.
        contents: path in the snapshot -> its bytes.
        skipped: path in the snapshot -> why it was left out.
    """

    folder: Path
    pipeline: str
    sources: dict[str, Path] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def see(self, parts: Iterable[str] = ()) -> bool:
        """Take in what is new: modules of the pipeline's folder, and those that code reaches.

        Args:
            parts: names of functions, classes and constants, as `core.code.CodeReach` has them.

        Returns:
            Whether there was anything.
        """
        before = len(self.sources) + len(self.skipped)
        for path in self._beside():
            self._add(path.relative_to(self.folder).as_posix(), path)
        for name, path in [*self._modules_inside(), *_modules_of(parts)]:
            inside = path.is_relative_to(self.folder)
            self._add(path.relative_to(self.folder).as_posix() if inside else name, path)
        return len(self.sources) + len(self.skipped) > before

    def see_again(self, index: SnapshotIndex) -> None:
        """Take in files of the folder that an earlier snapshot has, where they are the same still.

        They were imported within a step: it is known now that this one will, too.
        """
        for name, known in index.files.items():
            path = self.folder / name
            if name not in self.sources and path.is_file() and fingerprint_file(path) == known:
                self._add(name, path)

    @property
    def index(self) -> SnapshotIndex:
        """What the snapshot holds."""
        files = {name: fingerprint_bytes(data) for name, data in sorted(self.contents.items())}
        return SnapshotIndex(self.pipeline, files, dict(sorted(self.skipped.items())))

    @property
    def files(self) -> dict[str, bytes]:
        """Everything that is stored: path -> content."""
        index = msgspec.json.format(msgspec.json.encode(self.index), indent=2)
        return {INDEX: index} | {f"{CODE}/{name}": data for name, data in self.contents.items()}

    def _beside(self) -> Iterator[Path]:
        for name in sorted(os.listdir(self.folder)):  # noqa: PTH208 - of every run
            if _BESIDE.fullmatch(name):
                yield self.folder / name

    def _modules_inside(self) -> Iterator[tuple[str, Path]]:
        """Yield what has been imported from the pipeline's folder."""
        start = f"{self.folder}/"
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.startswith(start) and is_user_file(file):
                yield name, Path(file)

    def _add(self, name: str, path: Path) -> None:
        if name in self.sources or name in self.skipped:
            return
        data = self._read(name, path)
        if data is not None:
            # A secret that somebody has written into the code is not written down with it.
            clean = redacted(data.decode(errors="replace")).encode() if hidden_in(data) else data
            self.sources[name], self.contents[name] = path, clean

    def _read(self, name: str, path: Path) -> bytes | None:
        if is_secret(PurePosixPath(name)):
            self.skipped[name] = "its name says that it may hold secrets"
            return None
        try:
            bytes_ = path.stat().st_size
            if bytes_ > MOST_FILE_BYTES:
                self.skipped[name] = f"larger than {MOST_FILE_BYTES:,} bytes"
            elif sum(map(len, self.contents.values())) + bytes_ > MOST_BYTES:
                self.skipped[name] = f"beyond {MOST_BYTES:,} bytes in all"
            else:
                data = path.read_bytes()
                if b"\0" not in data:
                    return data
                self.skipped[name] = "binary"
        except OSError as error:
            self.skipped[name] = error.strerror or str(error)
        return None


def read_index(folder: Path) -> SnapshotIndex:
    """Return the index of a stored snapshot."""
    return msgspec.json.decode((folder / INDEX).read_bytes(), type=SnapshotIndex)


def is_secret(path: PurePosixPath) -> bool:
    """Say whether a file, or a folder above it, is called as those are that hold secrets."""
    return any(_SECRET.fullmatch(part) for part in path.parts)


def _modules_of(parts: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the modules that hold what is named so, and their packages: where they are imported
    from, and their files.
    """
    names: set[str] = set()
    for part in parts:
        home = part
        while home and home not in sys.modules:
            home = home.rpartition(".")[0]
        while home:
            names.add(home)
            home = home.rpartition(".")[0]
    for name in sorted(names):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and name != "__main__" and is_user_module(name):
            path = Path(file)
            place = name.replace(".", "/")
            yield f"{place}/__init__.py" if path.stem == "__init__" else f"{place}.py", path
