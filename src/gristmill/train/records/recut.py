"""A trial's commit laid out anew, for a model that is cut into other shards than before."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gristmill.core.errors import TrainError
from gristmill.train.records.commit import Commit, StoredRecord
from gristmill.train.records.key import Key
from gristmill.train.records.layout import LayoutEntry, RecordLayout
from gristmill.train.records.record_file import Slot
from gristmill.train.records.record_store import RecordStore


def is_laid_out(store: RecordStore, commit: Commit, layouts: Mapping[Key, RecordLayout]) -> bool:
    """Say whether a commit has exactly these records, laid out so."""
    if commit.versions.keys() != layouts.keys():
        return False
    return all(
        store.layout(record) == layouts[commit.trial, record.shard, record.section]
        for record in commit.records
    )


def recut_commit(store: RecordStore, commit: Commit, layouts: Mapping[Key, RecordLayout]) -> Commit:
    """Write the tensors of a commit into other records, and commit these at the same step.

    A run that goes on with another memory budget, or on another number of devices, cuts its model
    elsewhere. Blocks while bytes are copied, through memory as large as the two largest records.

    Args:
        store: where the commit is.
        commit: of a trial none of whose records are in use.
        layouts: of the new records, all of that trial.

    Raises:
        TrainError: a tensor is not in the commit, a record is damaged, or the disk is full.
    """
    tensors = _Tensors(store, commit)
    records = []
    for key, layout in sorted(layouts.items()):
        file = store.file(key, layout.nbytes)
        number = file.begin()
        written: Slot | None = None
        try:
            with _area(layout.nbytes) as area:
                for entry in layout.entries:
                    area[entry.offset : entry.offset + entry.nbytes] = tensors.bytes_of(entry)
                digest = file.blocks.write(number, area, durable=True)
            written = Slot(number, commit.step, digest)
        finally:
            file.end(number, written)
        store.set_layout(key, layout)
        records.append(store.named(key, layout.nbytes, written))
    tensors.close()
    return store.add_commit(store.draft(commit.trial, commit.step, commit.extra, records))


class _Tensors:
    """The tensors of a commit by name; the record that was read last stays in memory."""

    def __init__(self, store: RecordStore, commit: Commit) -> None:
        self._store, self._trial = store, commit.trial
        self._places: dict[str, tuple[StoredRecord, LayoutEntry]] = {
            entry.name: (record, entry)
            for record in commit.records
            for entry in store.layout(record).entries
        }
        self._read: StoredRecord | None = None
        self._area = mmap.mmap(-1, max(record.nbytes for record in commit.records))

    def bytes_of(self, wanted: LayoutEntry) -> memoryview:
        """Return the bytes of a tensor of this name, shape and dtype."""
        record, entry = self._places.get(wanted.name, (None, None))
        if record is None or entry is None:
            raise TrainError(
                f"the commit of trial {self._trial} has no tensor {wanted.name!r}",
                where=str(self._store.folder),
                fix="train another model in a new folder",
            )
        if (entry.shape, entry.dtype) != (wanted.shape, wanted.dtype):
            raise TrainError(
                f"tensor {wanted.name!r} of trial {self._trial} is {entry.dtype}"
                f"{list(entry.shape)}, expected {wanted.dtype}{list(wanted.shape)}",
                where=str(self._store.folder),
                fix="train another model in a new folder",
            )
        if record != self._read:
            self._store.read(self._trial, record, memoryview(self._area)[: record.nbytes])
            self._read = record
        return memoryview(self._area)[entry.offset : entry.offset + entry.nbytes]

    def close(self) -> None:
        """Give the memory back."""
        self._area.close()


@contextmanager
def _area(nbytes: int) -> Iterator[memoryview]:
    """Lend zeroed memory, aligned to a page."""
    with mmap.mmap(-1, nbytes) as memory, memoryview(memory) as area:
        yield area
