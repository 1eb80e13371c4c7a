"""Why a step runs, in the few words that fit a line; `--json` has all of them."""

from __future__ import annotations

import re
from pathlib import PurePath

_SHOWN = 2
_SOURCE_TREE = re.compile(r"package (\S+) \S+\+source\.\w+ -> \S+")
_SAME_PATH = re.compile(r"setting (\w+): \w*Path\('(.*)'\) -> \w*Path\('\2'\)")


def brief(why: str) -> str:
    """Return the first two reasons of a step and how many more there are."""
    reasons = [_plain(reason) for reason in split_reasons(why)]
    more = len(reasons) - _SHOWN
    return ", ".join(reasons[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def split_reasons(why: str) -> list[str]:
    """Split reasons at their commas, but not at those inside of a value such as `[1, 2]`."""
    reasons, depth, quote = [""], 0, ""
    for character in why:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0 and not quote:
            reasons.append("")
        else:
            reasons[-1] += character
    return [reason.strip() for reason in reasons]


def _plain(reason: str) -> str:
    """Leave out what tells a reader nothing: digests, and a path that is still the same."""
    if found := _SOURCE_TREE.fullmatch(reason):
        return f"package {found[1]} changed"
    if found := _SAME_PATH.fullmatch(reason):
        return f"{PurePath(found[2]).name} changed"
    return reason
