"""Expressions over text columns: broken encoding, lengths."""

from __future__ import annotations

import re

import polars as pl

BROKEN = (
    "\ufffd"  # what a decoder writes for bytes that are not UTF-8
    "|[\u0080-\u009f]"  # C1 controls: windows-1252 read as latin-1
    "|[\u00c2\u00c3][\u00a0-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    "|\u00e2\u20ac|\u00ef\u00bb\u00bf|\u00ef\u00bf\u00bd"
)
"""Pattern of text whose bytes were read in the wrong encoding.

U+FFFD and C1 controls never belong in text; the other sequences are what the bytes of UTF-8
characters (C2 xx, C3 xx, E2 80 xx, a byte-order mark, EF BF BD) look like when read as latin-1 or
windows-1252.
"""


def is_broken(column: pl.Series) -> pl.Series:
    """Tell which cells show a broken encoding: Boolean[n], false where missing."""
    return column.str.contains(BROKEN).fill_null(value=False)


def lengths(column: pl.Series) -> pl.Series:
    """Count the characters of each cell: UInt32[n], null where missing."""
    return column.str.len_chars()


NULL_WORDS = frozenset(
    {
        *("", "nan", "null", "none", "nil", "na", "n/a", "n.a.", "<na>", "#n/a", "#na", "nat"),
        *("-", "--", "?", ".", "unknown", "undefined", "missing", "not available", "(null)"),
    }
)
"""Texts, in lower case and without spaces around, that stand for a missing value."""

SCRIPTS = {
    name: rf"\p{{{name}}}"
    for name in (
        *("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil"),
        *("Thai", "Hangul", "Han", "Hiragana", "Katakana", "Armenian", "Georgian", "Ethiopic"),
    )
}
"""Unicode scripts by name, as regular expressions (Rust syntax) of one letter."""

SHAPES = {
    "padded": r"^\s|\s$",
    "upper": r"^[^\p{Ll}]*\p{Lu}[^\p{Ll}]*$",
    "lower": r"^[^\p{Lu}]*\p{Ll}[^\p{Lu}]*$",
    "title": r"^[^\p{L}]*\p{Lu}[\p{Ll}\p{M}'’]*([^\p{L}]+\p{Lu}[\p{Ll}\p{M}'’]*)*[^\p{L}]*$",
    "digits": r"^\d+$",
    "number": r"(?i)^\s*[+-]?(\d+(\.\d*)?|\.\d+|\d{1,3}(,\d{3})+(\.\d*)?)(e[+-]?\d+)?\s*%?\s*$",
}
"""Properties of a text, as regular expressions (Rust syntax)."""

HINTS = {
    "natural_language": r"^\s*(?:\p{L}[\p{L}\p{M}'’-]{0,19}[.,;:!?]*\s+){2,}\p{L}",
    "url": r"(?i)^\s*(?:https?|ftp)://[^\s/$.?#][^\s]*\s*$",
    "email": r"^\s*[\w.+-]+@[\w-]+(?:\.[\w-]+)+\s*$",
    "uuid": r"(?i)^\s*\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?\s*$",
    "time": r"^\s*\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*"
    r"(?:Z|[+-]\d\d:?\d\d)?)?\s*$",
    "base64": r"^(?:[A-Za-z0-9+/]{4}){8,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    "image": r"^(?:data:image/|iVBORw0KGgo|/9j/4|R0lGOD|UklGR|\x{89}PNG)",
}
"""What a text looks like, as regular expressions (Rust syntax)."""

IRREGULAR = ""
_MAX_RUNS = 12
_RUN = re.compile(r"(\\.|[^\\])\1*", re.DOTALL)
_MAX_PATTERN_CHARACTERS = 40


def character_classes(texts: pl.Series) -> list[str | None]:
    """Spell each text as runs of character classes: "ABC-1234" is "A{3}-9{4}".

    Upper-case letters are A, lower-case a, digits 9; other characters stand for themselves (behind
    a backslash where they mean something in a pattern). Texts longer than 40 characters or of more
    than 12 runs give None. A run of one has no count.
    """
    is_short = texts.str.len_chars() <= _MAX_PATTERN_CHARACTERS
    spelled = (
        # Without the others: to replace in a missing cell takes as long as in the text it was.
        texts.filter(is_short)
        .str.replace_all(r"([\\{}])", "\\$1")
        .str.replace_all(r"\p{Lu}", "A")
        .str.replace_all(r"\p{Ll}", "a")
        .str.replace_all(r"\d", "9")
    )
    runs = {classes: _runs(classes) for classes in spelled.unique().to_list()}
    found = iter(spelled.to_list())
    return [runs[next(found)] if short else None for short in is_short.to_list()]


def _runs(classes: str) -> str | None:
    """Join equal neighbours: "AAA-99" is "A{3}-9{2}"."""
    runs = list(_RUN.finditer(classes))
    if len(runs) > _MAX_RUNS:
        return None
    counted = [(run[1], len(run[0]) // len(run[1])) for run in runs]
    return "".join(unit + (f"{{{times}}}" if times > 1 else "") for unit, times in counted)
