"""How a record is named, and what its size is rounded to."""

from __future__ import annotations

import re

from gristmill.core.errors import UsageError

Key = tuple[int, int, str]
"""(trial, shard, section); a section is `weights`, `state` or `grads`."""
BLOCK_BYTES = 4096
"""Direct I/O wants memory, file offsets and lengths aligned to the blocks of the device."""

_SECTION = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


def whole_blocks(nbytes: int) -> int:
    """Round a size in bytes up to whole blocks, at least one."""
    return max(BLOCK_BYTES, -(-nbytes // BLOCK_BYTES) * BLOCK_BYTES)


def describe_key(key: Key) -> str:
    """Say a key in words: `trial 0, shard 3, weights`."""
    trial, shard, section = key
    return f"trial {trial}, shard {shard}, {section}"


def checked_key(key: Key) -> Key:
    """Return `key` if it can name a file.

    Raises:
        UsageError: a negative number, or a section that is no plain lower-case word.
    """
    trial, shard, section = key
    if trial < 0 or shard < 0 or not _SECTION.fullmatch(section):
        raise UsageError(
            f"a record's key is (trial, shard, section) of numbers from 0 and a word, found {key!r}"
        )
    return key
