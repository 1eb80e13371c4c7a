"""What somebody probably meant who wrote a word that nothing has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from gristmill.core.errors import UsageError

Otherwise = TypeVar("Otherwise", str, None)


def did_you_mean(word: str, known: Iterable[str], otherwise: Otherwise) -> str | Otherwise:
    """Suggest the known word that is most like this one; `otherwise` where none is like it."""
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def check_keys(table: Mapping[str, object], known: Iterable[str], where: str) -> None:
    """Refuse a table of settings that has a key of which nothing is known.

    Raises:
        UsageError: names the first such key, and what was probably meant.
    """
    known = list(known)
    for key in table:
        if key not in known:
            fix = did_you_mean(key, known, f"known keys: {', '.join(known)}")
            raise UsageError(f"unknown key {key!r}", where=where, fix=fix)
