"""Committed records as a safetensors file, which plain PyTorch loads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import TrainError
from gristmill.train.records.block_file import CHUNK_BYTES
from gristmill.train.records.commit import Commit
from gristmill.train.records.layout import LayoutEntry
from gristmill.train.records.record_store import RecordStore

_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}


class _Piece(msgspec.Struct, frozen=True):
    """A tensor, and where its bytes are on disk."""

    entry: LayoutEntry
    path: Path
    start: int


def export_commit(
    store: RecordStore,
    commit: Commit,
    target: Path,
    *,
    sections: Collection[str] = ("weights",),
    names: Mapping[str, str] | None = None,
) -> None:
    """Write the tensors of a commit to `target`, a safetensors file, in pieces of 16 MiB.

    Args:
        store: where the commit is.
        commit: what `RecordStore.last` returned, or one of `RecordStore.commits`.
        target: written whole or not at all.
        sections: of the records to take.
        names: what each tensor to take is called in the file, and its own name, which may come
            twice; by default all are taken, under their own.

    Raises:
        TrainError: the layout of a record is lost, a tensor's dtype has no name in the format, or a
            file is short.
    """
    found = {piece.entry.name: piece for piece in _pieces(store, commit, sections)}
    chosen = {name: name for name in found} if names is None else names
    pieces = [(name, found[own]) for name, own in chosen.items()]
    # Wide elements first, as safetensors does, so that each tensor starts at a multiple of them.
    pieces.sort(key=lambda piece: -_element_bytes(piece[1].entry))
    with atomic_file(target) as draft, draft.open("wb") as out:
        out.write(_header(commit, pieces))
        for _, piece in pieces:
            _copy(piece, out)


def _pieces(store: RecordStore, commit: Commit, sections: Collection[str]) -> Iterator[_Piece]:
    for record in commit.records:
        if record.section not in sections:
            continue
        path = store.file((commit.trial, record.shard, record.section), record.nbytes).blocks.path
        for entry in store.layout(record).entries:
            yield _Piece(entry, path, record.slot * record.nbytes + entry.offset)


def _header(commit: Commit, pieces: list[tuple[str, _Piece]]) -> bytes:
    described: dict[str, object] = {
        "__metadata__": {"format": "pt", "trial": str(commit.trial), "step": str(commit.step)}
    }
    end = 0
    for name, piece in pieces:
        entry = piece.entry
        if entry.dtype not in _DTYPES:
            raise TrainError(f"tensor {entry.name!r} of {entry.dtype} has no safetensors dtype")
        start, end = end, end + entry.nbytes
        described[name] = {
            "dtype": _DTYPES[entry.dtype],
            "shape": entry.shape,
            "data_offsets": (start, end),
        }
    body = msgspec.json.encode(described)
    body += b" " * (-len(body) % 8)
    return len(body).to_bytes(8, "little") + body


def _element_bytes(entry: LayoutEntry) -> int:
    count = 1
    for size in entry.shape:
        count *= size
    return entry.nbytes // count if count else 0


def _copy(piece: _Piece, out: BinaryIO) -> None:
    left = piece.entry.nbytes
    with piece.path.open("rb") as file:
        file.seek(piece.start)
        while left:
            data = file.read(min(left, CHUNK_BYTES))
            if not data:
                raise TrainError(f"the file ends {left} bytes early", where=str(piece.path))
            out.write(data)
            left -= len(data)
