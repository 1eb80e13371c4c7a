"""A log that keeps its beginning and its end, however much is written in between.

head             the first bytes
tail.1048576     what came from this byte on; the segment before it stays, older ones go
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

HEAD_BYTES = 1 << 18
SEGMENT_BYTES = 1 << 18
"""Of the end at least so much stays, and at most twice as much."""
_SEGMENTS = 2


class BoundedLog:
    """A log in a folder of its own. What is written is in the files at once: a kill loses nothing.

    Args:
        folder: where; made if need be.
        head: how many bytes of the beginning stay.
        segment: of the end at least so many bytes stay, and at most twice as many.
    """

    def __init__(
        self, folder: Path, *, head: int = HEAD_BYTES, segment: int = SEGMENT_BYTES
    ) -> None:
        self.folder, self._most = folder, segment
        folder.mkdir(parents=True, exist_ok=True)
        self._room = head
        self._begun = self._left_out = 0
        self._segments: list[Path] = []
        self._file = (folder / "head").open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Add whole lines; a file begins and ends with one, unless it is longer than a file.

        Raises:
            OSError: they cannot be written.
        """
        while data:
            now = data[: self._room]
            if len(now) < len(data):
                now = now[: now.rfind(b"\n") + 1] or (now if self._room == self._most else b"")
            if now:
                self._file.write(now)
                self._room -= len(now)
                data = data[len(now) :]
            if data:
                self._begin_segment()

    def close(self) -> None:
        """Close the files."""
        self._file.close()

    def _begin_segment(self) -> None:
        self._file.close()
        if len(self._segments) == _SEGMENTS:
            oldest = self._segments.pop(0)
            self._left_out += oldest.stat().st_size
            oldest.unlink()
        self._begun += 1
        self._segments.append(self.folder / f"tail.{self._begun}.{self._left_out}")
        self._file = self._segments[-1].open("wb", buffering=0)
        self._room = self._most


def read_bounded_log(folder: Path) -> tuple[str, int]:
    """Return the text of such a log, and how many bytes of its middle were left out.

    Where some were, a line says so. A folder that does not exist is an empty log.
    """
    files = _files(folder)
    texts = [path.read_bytes().decode(errors="replace") for path in files]
    left_out = int(files[-1].suffix[1:]) if len(files) > 1 else 0
    if left_out:
        texts.insert(1, f"[... {left_out:,} bytes left out ...]\n")
    return "".join(texts), left_out


def rewrite(folder: Path, change: Callable[[str], str]) -> None:
    """Change the text of such a log, line by line if need be; its files keep their names."""
    for path in _files(folder):
        path.write_bytes(change(path.read_bytes().decode(errors="replace")).encode())


def _files(folder: Path) -> list[Path]:
    head = folder / "head"
    return [head, *sorted(folder.glob("tail.*"), key=_number)] if head.is_file() else []


def _number(path: Path) -> int:
    return int(path.name.split(".")[1])
