"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.core.errors import UsageError

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it is synced and renamed over `target`.

    If the block raises, or the process dies, `target` is as it was before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with naming(target, draft):
            yield draft
            sync_path(draft)
            draft.replace(target)
            sync_path(target.parent)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; on success it takes the place of `target`.

    A folder that was there before is replaced as a whole: moved aside, then removed. With `replace`
    off, a folder that somebody else has put there meanwhile stays, and ours is dropped; there is
    then no moment without one, which is right where the name says what is in the folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with naming(target, draft):
            draft.mkdir()
            yield draft
            for path in sorted(draft.rglob("*")):
                if path.is_file():
                    sync_path(path)
            if replace:
                _swap(draft, target)
            else:
                _offer(draft, target)
            sync_path(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_atomic(target: Path, data: bytes) -> None:
    """Write `data` to `target` so that a reader sees the old file or the new one, never a part."""
    with atomic_file(target) as draft:
        draft.write_bytes(data)


@contextmanager
def naming(target: Path, draft: Path) -> Iterator[None]:
    """Let an error of writing name `target`, which a user knows, instead of the draft or nothing.

    A full disk is an OSError here, whatever library met it: Polars, for one, says it in the text
    of an error of its own.

    Raises:
        OSError: with `filename` set to the target.
    """
    try:
        yield
    except Exception as error:
        named = _named(error, target, draft)
        if named is None:
            raise
        raise named from error


def _named(error: Exception, target: Path, draft: Path) -> OSError | None:
    if not isinstance(error, OSError):
        full = os.strerror(errno.ENOSPC) in str(error)
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) if full else None
    file = error.filename
    ours = error.errno in _OF_THE_DISK if file is None else str(file).startswith(str(draft))
    if not ours or error.errno is None:
        return None
    return OSError(error.errno, error.strerror or str(error), str(target))


def _swap(draft: Path, target: Path) -> None:
    if not target.exists():
        draft.rename(target)
        return
    old = target.with_name(f".{target.name}.{secrets.token_hex(6)}.old")
    target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _offer(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def check_apart(source: str | Path, target: Path, why: str) -> None:
    """See to it that what is written to `target` does not replace what is read.

    Args:
        source: a path, or what is none: a camera, an address.
        target: a path.
        why: what is wrong if they are one.

    Raises:
        UsageError: they are one file.
    """
    try:
        same = target.samefile(source)
    except OSError:  # one of them is no file, or none yet
        return
    if same:
        raise UsageError(why, where=str(target), fix="give it another name")


def sync_path(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
