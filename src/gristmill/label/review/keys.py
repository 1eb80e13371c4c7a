"""One key for each class."""

from __future__ import annotations

from collections.abc import Sequence

RESERVED = "bnqsu?/"
"""Keys with a meaning of their own: skip, undo, note, quit, help, and a class by its name."""

_KEYS = "1234567890" + "".join(
    letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in RESERVED
)


def class_keys(classes: Sequence[str]) -> dict[str, str]:
    """Return key -> class: the digits, then letters; classes beyond those have no key."""
    return dict(zip(_KEYS, classes, strict=False))


def named(text: str, classes: Sequence[str]) -> str | None:
    """Return the class of this name or number (from 1), or the only one that begins so."""
    wanted = text.strip()
    if wanted in classes:
        return wanted
    near = [name for name in classes if wanted and name.lower().startswith(wanted.lower())]
    if len(near) == 1:
        return near[0]
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(classes):
        return classes[int(wanted) - 1]
    return None
