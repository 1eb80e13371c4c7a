"""What is wrong with JSON of another form, in words for those who sent it."""

from __future__ import annotations

import re

import msgspec

_PLACED = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<place>.*?)`)?", re.DOTALL)
_TYPES = re.compile(r"Expected `(?P<wanted>.*?)`, got `(?P<found>.*?)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*?)`")
_NAMES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true/false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def misfit(error: msgspec.ValidationError) -> str:
    """Return where the JSON is wrong, what was expected and what found."""
    text = str(error)
    placed = _PLACED.fullmatch(text)
    what, place = (placed["what"], placed["place"]) if placed else (text, None)
    if types := _TYPES.fullmatch(what):
        wanted = types["wanted"].split(" | ")
        if "float" in wanted and "int" in wanted:
            wanted.remove("int")
        *some, last = map(_named, wanted)
        either = f"{', '.join(some)} or {last}" if some else last
        what = f"expected {either}, found {_named(types['found'])}"
    elif missing := _MISSING.fullmatch(what):
        what = f"expected the key {missing['name']!r}, found none"
    elif unknown := _UNKNOWN.fullmatch(what):
        what = f"unknown key {unknown['name']!r}"
    return f"{place}: {what}" if place else what


def _named(kind: str) -> str:
    return _NAMES.get(kind, kind)
