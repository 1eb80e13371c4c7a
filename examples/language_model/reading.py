"""Something to read: Shakespeare, text that every Python has, or a file of yours."""

from __future__ import annotations

import pydoc_data.topics
from pathlib import Path

from gristmill import data
from gristmill.core.errors import UsageError


def read_text(source: str) -> bytes:
    """Return a text as bytes, each of which is one token.

    Args:
        source: `shakespeare` for his works, 5 MB, fetched once and kept (see `gristmill datasets`);
            `python` for the reference manual of this Python, half a megabyte that is there already;
            or a path.

    Raises:
        UsageError: there is no such file.
        DataError: Shakespeare cannot be fetched.
    """
    if source == "python":
        topics: dict[str, str] = pydoc_data.topics.topics
        return "\n".join(topics[name] for name in sorted(topics)).encode()
    path = data.fetch(source) if source == "shakespeare" else Path(source)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", fix="name a file, shakespeare or python")
    return path.read_bytes()
