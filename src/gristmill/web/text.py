"""Text made fit to be shown: whatever bytes the data held, on one page with everything else."""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

ELLIPSIS = "…"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SPACES = re.compile(r"\s+")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/ -`")
_BROAD = frozenset("mwMW@%&")
_JOINERS = "\u200d\ufe0f"


def clean(text: str) -> str:
    r"""Return `text` without characters that HTML and XML forbid.

    Control characters become their pictures (`\0` shows as `␀`), so that a reader sees them; lone
    surrogates and non-characters become `�`. Tabs and line ends stay.
    """
    return _UNPRINTABLE.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"


def shorten(text: str, limit: int) -> str:
    """Return `text` on one line, cut to at most `limit` characters with an ellipsis."""
    # Cut before the regular expression runs: a cell may hold megabytes.
    line = _SPACES.sub(" ", clean(text[: 4 * limit])).strip()
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return line[: limit - 1].rstrip(_JOINERS + " ") + ELLIPSIS


def text_width(text: str, size: float) -> float:
    """Estimate the width in pixels of one line set in the system's sans serif at `size` pixels.

    The estimate errs on the wide side: there is no font to measure when the page is written.
    """
    return size * sum(_ems(character) for character in text)


def _ems(character: str) -> float:
    if character in _NARROW:
        return 0.41
    if character in _BROAD:
        return 0.97
    if character < "\u0300":
        return 0.74 if character.isupper() else 0.635
    if unicodedata.combining(character) or character in _JOINERS:
        return 0.0
    return 1.25 if unicodedata.east_asian_width(character) in "WF" else 0.75


def fit(text: str, width: float, size: float) -> str:
    """Return `text` on one line, cut with an ellipsis to an estimated `width` in pixels."""
    most = max(1, int(width / (0.41 * size)))
    line = shorten(text, most + 1)
    if text_width(line, size) <= width:
        return line
    room = width - text_width(ELLIPSIS, size)
    kept = 0
    for character in line:
        room -= _ems(character) * size
        if room < 0:
            break
        kept += 1
    return line[:kept].rstrip(_JOINERS + " ") + ELLIPSIS


def wrap(text: str, width: float, size: float, lines: int) -> list[str]:
    """Break `text` into at most `lines` lines of an estimated `width` in pixels.

    Breaks at spaces and after `_`, `-`, `.` and `/`; what does not fit ends in an ellipsis.
    """
    rows: list[str] = []
    rest = shorten(text, 400)
    while rest and len(rows) < lines - 1 and text_width(rest, size) > width:
        cut = _break_at(rest, width, size)
        if not cut:
            break
        rows.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*rows, fit(rest, width, size)] if rest else rows


def _break_at(line: str, width: float, size: float) -> int:
    """Return after how many characters to break, 0 where no break fits."""
    best, room = 0, width
    for position, character in enumerate(line, start=1):
        if character == " " and room >= 0:
            best = position
        room -= _ems(character) * size
        if room < 0:
            break
        if character in "_-./":
            best = position
    return best


def prose(text: str) -> Markup:
    """Turn paragraphs into HTML: blank lines part them, `- ` starts a list item.

    Within a line, `**bold**` and `` `code` `` are understood; everything else is literal text.
    """
    parts = re.split(r"\n\s*\n", clean(text).strip())
    return Markup("\n").join(_paragraph(part) for part in parts if part.strip())


def _paragraph(part: str) -> Markup:
    lines = [line.strip() for line in part.splitlines()]
    if not all(line.startswith("- ") for line in lines):
        return Markup("<p>{}</p>").format(_inline(" ".join(lines)))
    items = Markup("").join(Markup("<li>{}</li>").format(_inline(line[2:])) for line in lines)
    return Markup("<ul>{}</ul>").format(items)


def _inline(line: str) -> Markup:
    pieces = line.split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick is a backtick
        pieces[-2:] = ["`".join(pieces[-2:])]
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else _bold(piece)
        for place, piece in enumerate(pieces)
    )


def _bold(piece: str) -> Markup:
    return Markup(_BOLD.sub(r"<strong>\1</strong>", str(escape(piece))))  # noqa: S704
