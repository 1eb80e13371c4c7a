"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it is synced and renamed over `target`.

    If the block raises, or the process dies, `target` is as it was before.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield draft
        _sync(draft)
        draft.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise _naming(target, draft, error) from error
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
    draft.mkdir()
    try:
        yield draft
        for path in sorted(draft.rglob("*")):
            if path.is_file():
                _sync(path)
        if replace:
            _swap(draft, target)
        else:
            _offer(draft, target)
        _sync(target.parent)
    except OSError as error:
        raise _naming(target, draft, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_atomic(target: Path, data: bytes) -> None:
    """Write `data` to `target` so that a reader sees the old file or the new one, never a part."""
    with atomic_file(target) as draft:
        draft.write_bytes(data)


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


def _naming(target: Path, draft: Path, error: OSError) -> OSError:
    """Return an error about the draft as one about the target, which is what a user knows."""
    if not str(error.filename or "").startswith(str(draft)) or error.errno is None:
        return error
    return OSError(error.errno, error.strerror or str(error), str(target))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
