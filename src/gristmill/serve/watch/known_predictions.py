"""Which predictions are in a folder: asked when somebody tells what is true of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from gristmill.serve.journal.prediction_ids import PredictionIds
from gristmill.serve.journal.segment_index import Entry, SegmentIndex, key_of
from gristmill.serve.watch.kept_predictions import PREDICTIONS, instances
from gristmill.serve.watch.prediction_records import Opening, decode_names

Found: TypeAlias = Literal["name", "key", "expired", "unknown"]
"""What a reference turned out to be: the name of a prediction, a key of the user's, or neither."""


class KnownPredictions:
    """The names and keys of the predictions in a folder, of all processes that write there.

    Args:
        folder: of one served model or route.

    Attributes:
        classes: class names of the answers, as far as some are kept; empty for other answers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PREDICTIONS
        self._index = SegmentIndex(self._folder, self._entries)
        self._ids: dict[Path, PredictionIds] = {}
        self._next: dict[Path, int] = {}
        self.classes: tuple[str, ...] = ()

    @property
    def damaged(self) -> int:
        """How many files are damaged."""
        return self._index.damaged

    def refresh(self) -> None:
        """Take in what was written since the last time.

        Raises:
            StoreError: the files are of another version, or no such files.
        """
        for _ in self.refreshing():
            pass

    def refreshing(self) -> Iterator[None]:
        """Do as `refresh`, in short steps; others may refresh or ask between two of them.

        Raises:
            StoreError: as `refresh`.
        """
        yield from self._index.refreshing()
        for place in instances(self._folder):
            if place not in self._ids and (place / "key").exists():
                self._ids[place] = PredictionIds.of(place)

    def find(self, reference: str) -> Found:
        """Say what a reference is.

        "expired" is a name that was given and is not there any more: it is too old, or was lost
        when the process was killed.
        """
        kinds: tuple[Found, Found] = ("name", "key")
        for found in kinds:
            if self._index.get(key_of(found, reference)) is not None:
                return found
        for place, ids in self._ids.items():
            name = ids.read(reference)
            if name is not None:
                # One that another process has given and not written yet cannot be made up.
                return "name" if name.number >= self._next.get(place, 0) else "expired"
        return "unknown"

    def _entries(self, place: Path, payload: bytes) -> Iterator[Entry]:
        record = decode_names(payload, place)
        if isinstance(record, Opening):
            self.classes = record.classes
            self._next[place] = max(record.first, self._next.get(place, 0))
        else:
            self._next[place] = max(record.next, self._next.get(place, 0))
            for row, key in enumerate(record.keys):
                yield Entry(key_of("name", f"{record.name}-{row}"), record.when, 0)
                yield Entry(key_of("key", key), record.when, 0)
