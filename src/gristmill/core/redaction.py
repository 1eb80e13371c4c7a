"""Texts that must not be seen: what was hidden once is left out of whatever this process says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

_hidden: dict[str, str] = {}
"""Each spelling of a text that is hidden -> the name that is shown in its place."""
_listeners: list[Callable[[str, str], None]] = []
_TELLING_CHARACTERS = 8
"""A line of a longer text is hidden by itself if it is not shorter."""


def hide(text: str, name: str) -> None:
    """Hide a text from now on, as it is and as URLs, JSON and Python's `repr` spell it.

    Of a text of several lines, such as a key, each line is hidden, too.
    """
    lines = [line for line in text.splitlines() if len(line) >= _TELLING_CHARACTERS]
    for spelling in sorted({one for part in (text, *lines) for one in _spellings(part)}):
        if spelling not in _hidden:
            _hidden[spelling] = name
            for listener in _listeners:
                listener(spelling, name)


@contextmanager
def telling(listener: Callable[[str, str], None]) -> Iterator[None]:
    """Tell a listener each spelling that is hidden, and its name: those now, and those to come."""
    for spelling, name in list(_hidden.items()):
        listener(spelling, name)
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _spellings(text: str) -> set[str]:
    in_urls = {quote(text, safe=""), quote(text), quote_plus(text)}
    return {text, repr(text)[1:-1], json.dumps(text)[1:-1], *in_urls}


def redacted(text: str) -> str:
    """Return a text with the names of hidden ones in their places."""
    for spelling in sorted(_hidden, key=len, reverse=True):  # one may lie inside of another
        text = text.replace(spelling, f"<{_hidden[spelling]}>")
    return text


def hidden_in(data: bytes) -> str | None:
    """Return the name of a hidden text whose bytes are among these; None if there is none."""
    return next((name for text, name in _hidden.items() if text.encode() in data), None)


def is_anything_hidden() -> bool:
    """Say whether there is anything to look for."""
    return bool(_hidden)


def redact_error(error: BaseException) -> None:
    """Take hidden texts out of an exception, and out of those that led to it."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error] if _hidden else []
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.args = tuple(redacted(each) if isinstance(each, str) else each for each in one.args)
        for name in ("message", "fix", "where", "filename", "strerror", "__notes__"):
            said = getattr(one, name, None)
            if isinstance(said, str):
                setattr(one, name, redacted(said))
            elif name == "__notes__" and said:
                one.__notes__ = [redacted(note) for note in said]
        rest += [one.__cause__, one.__context__]
