"""Matching one text against a pattern, in time that no text can blow up.

Checks of whole columns use the engine of Polars, whose time is linear in the text. Python's starts
a hundred times sooner, which is what counts for one record, but tries one way after another:
`(a+)+b` against thirty times "a" takes it minutes. A guard must not be stopped by what it guards
against.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl

_MOST_WAYS = 100_000
_ATOM = r"(?:\\[dDwWsS]|\\[^\w\s]|\[\^?(?:\\[dDwWsS]|\\[^\w\s]|[^\]\[\\&~])+\]|[^\\\[\](){}|*+?^$])"
_FIXED = r"(?:\{\d+\})?"
_COUNTS = r"[*+?]\??|\{\d+,\d*\}\??"
_GROUP = rf"\((?:\?:)?(?:{_ATOM}{_FIXED})+\){_FIXED}"
_PLAIN = re.compile(rf"(?:{_GROUP}|{_ATOM}(?:{_COUNTS}|{_FIXED}))*", re.DOTALL)
_VARIABLE = re.compile(rf"{_ATOM}({_COUNTS})", re.DOTALL)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether a whole text matches a pattern.

    Python's engine is used where the ways that it may try are few: where only single characters
    are repeated any number of times (`+`, `{2,5}`), there are at most as many ways as the length of
    the text to the power of how many such repeats there are. Patterns that say more, and texts too
    long for that, are left to Polars.
    """
    whole = f"^(?:{pattern})$"

    def linear(text: str) -> bool:
        return bool(pl.Series([text]).str.contains(whole)[0])

    if not _PLAIN.fullmatch(pattern):
        return linear
    matches = re.compile(f"(?:{pattern})\\Z").match
    counts = len(_VARIABLE.findall(pattern))
    longest = round(_MOST_WAYS ** (1 / counts)) if counts else _MOST_WAYS

    def quick(text: str) -> bool:
        return matches(text) is not None if len(text) <= longest else linear(text)

    return quick
