"""Secret keys in files of their own: made once, the same after every restart."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gristmill.core.atomic import atomic_file
from gristmill.core.errors import StoreError

KEY_BYTES = 16


def secret_key(path: Path, *, fix: str) -> bytes:
    """Return the key of 16 bytes in a file that nobody else may read; it is made if need be.

    Args:
        path: the file; its folder is made, too.
        fix: what the user can do where the file holds something else.

    Raises:
        StoreError: the file holds something else, or cannot be read or written.
    """
    try:
        if not path.exists():
            with atomic_file(path) as draft:
                handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the key cannot be read or made: {error.strerror or error}", where=str(path)
        ) from error
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"expected a key of {KEY_BYTES} bytes, found {len(key)}", where=str(path), fix=fix
        )
    return key
