"""A log that keeps its beginning and its end, however much is written in between.

head             the first bytes
tail.1048576     what came from this byte on; the segment before it stays, older ones go
"""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 1 << 18
SEGMENT_BYTES = 1 << 18
"""Of the end at least so much stays, and at most twice as much."""


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
        self._written = 0
        self._segments: list[Path] = []
        self._file = (folder / "head").open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Add bytes, best whole lines.

        Raises:
            OSError: they cannot be written.
        """
        while data:
            if self._room <= 0:
                self._begin_segment()
            now, data = data[: self._room], data[self._room :]
            self._file.write(now)
            self._room -= len(now)
            self._written += len(now)

    def close(self) -> None:
        """Close the files."""
        self._file.close()

    def _begin_segment(self) -> None:
        self._file.close()
        self._segments.append(self.folder / f"tail.{self._written}")
        if len(self._segments) > 2:
            self._segments.pop(0).unlink()
        self._file = self._segments[-1].open("wb", buffering=0)
        self._room = self._most


def read_bounded_log(folder: Path) -> tuple[str, int]:
    """Return the text of such a log, and how many bytes of its middle were left out.

    Where some were, a line says so, and lines that were cut in two are left out, too. A folder that
    does not exist is an empty log.
    """
    head = folder / "head"
    start = head.read_bytes() if head.is_file() else b""
    segments = sorted(folder.glob("tail.*"), key=_begins)
    end = b"".join(path.read_bytes() for path in segments)
    left_out = _begins(segments[0]) - len(start) if segments else 0
    if not left_out:
        return (start + end).decode(errors="replace"), 0
    whole, _, broken = start.rpartition(b"\n")
    torn, _, rest = end.partition(b"\n")
    left_out += len(broken) + len(torn)
    said = f"[... {left_out:,} bytes left out ...]"
    return f"{whole.decode(errors='replace')}\n{said}\n{rest.decode(errors='replace')}", left_out


def _begins(path: Path) -> int:
    return int(path.suffix[1:])
