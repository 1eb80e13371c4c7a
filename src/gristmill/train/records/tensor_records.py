"""Tensors of a safetensors file as records: only read, gathered from where they lie in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import xxhash

from gristmill.core.errors import BundleError, TrainError, UsageError
from gristmill.store.tensor_file import TensorFile
from gristmill.train.graphs.tensor_spec import TensorSpec
from gristmill.train.records.block_file import BlockFile
from gristmill.train.records.commit import StoredRecord
from gristmill.train.records.key import Key
from gristmill.train.records.layout import RecordLayout
from gristmill.train.records.record_file import RecordFile, Slot
from gristmill.train.records.record_store import RecordStore

SECTION = "weights"
_VERIFIED = "verified"


class TensorRecords(RecordStore):
    """What a pager takes for the folder of a run: a record for each group of tensors.

    There is no folder, no journal and nothing that could be written.

    Args:
        file: the tensors; stays the caller's to close.
        groups: names of the tensors of each record; one may be in several.
        digests: xxh3_128 of each tensor, compared whenever it is read.

    Attributes:
        record_layouts: where the tensors of each record lie, once in memory.
    """

    def __init__(
        self, file: TensorFile, groups: Sequence[Sequence[str]], digests: Mapping[str, str]
    ) -> None:
        self.record_layouts = [RecordLayout.of(_specs(file, names)) for names in groups]
        self._gathered = [_GatheredFile(file, layout, digests) for layout in self.record_layouts]

    def file(self, key: Key, nbytes: int) -> RecordFile:
        """Return what reads the record of a group; `nbytes` is that of its layout."""
        del nbytes
        return self._gathered[key[1]]

    def discard(self, key: Key, nbytes: int) -> None:
        """Keep the file: it is not ours."""

    def draft(
        self, trial: int, step: int, extra: dict[str, Any], records: Iterable[StoredRecord]
    ) -> NoReturn:
        """Refuse: nothing is ever committed.

        Raises:
            UsageError: always.
        """
        del trial, step, extra, records
        raise UsageError("these records are only read, and cannot be committed")

    def close(self) -> None:
        """Do nothing: nothing is held."""


class _GatheredFile(RecordFile):
    def __init__(self, file: TensorFile, layout: RecordLayout, digests: Mapping[str, str]) -> None:
        super().__init__(file.path, layout.nbytes, direct=False)
        self.blocks = _GatheredBlocks(file, layout, digests)
        self.latest = Slot(0, 0, _VERIFIED)


class _GatheredBlocks(BlockFile):
    """The bytes of one record: those of its tensors, each at its place; gaps are left alone."""

    def __init__(self, file: TensorFile, layout: RecordLayout, digests: Mapping[str, str]) -> None:
        super().__init__(file.path, layout.nbytes, direct=False)
        self._file, self._layout, self._digests = file, layout, digests

    def read(self, slot: int, view: memoryview, *, digest: str = "") -> None:
        """Read the tensors into `view`, uint8[nbytes of the layout].

        Args:
            slot: of no meaning: there is one.
            view: where to.
            digest: not empty: compare the digest of each tensor.

        Raises:
            TrainError: the file has changed or is short, or the disk failed.
        """
        del slot
        for entry in self._layout.entries:
            part = view[entry.offset : entry.offset + entry.nbytes]
            try:
                self._file.read_into(entry.name, part)
            except BundleError as error:
                raise TrainError(error.message, where=str(self.path)) from error
            if digest and xxhash.xxh3_128(part).hexdigest() != self._digests[entry.name]:
                raise TrainError(
                    f"tensor {entry.name!r} has changed since the file was opened",
                    where=str(self.path),
                    fix="don't write to a bundle while it predicts",
                )


def _specs(file: TensorFile, names: Sequence[str]) -> list[TensorSpec]:
    tensors = [file.tensors[name] for name in names]
    return [TensorSpec(each.name, each.shape, each.dtype, trainable=False) for each in tensors]
