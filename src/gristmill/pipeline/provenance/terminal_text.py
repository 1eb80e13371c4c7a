"""What a terminal would show of a stream of output, once all is printed.

Progress bars draw over themselves hundreds of times: a log keeps what remained to be read.
"""

from __future__ import annotations

import codecs
import re

_CONTROL = re.compile(
    r"\n|\r|\x08"
    r"|\x1b\[([0-9;?]*)[ -/]*([@-~])"  # ECMA-48 5.4: a control sequence with its parameters
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # 8.3.89: a command to the operating system
    r"|\x1b[@-Z\\-_=>78]"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*|\][^\x07\x1b]{0,512}\x1b?)?\Z")
_MOVES = re.compile(r"[\r\x08\x1b]")
_WIDEST = 20_000
"""A line without an end is broken here."""


class TerminalText:
    """Turns bytes into the lines that stay; knows as much of ECMA-48 as progress bars use.

    Args:
        rows: how many finished lines may still be written over, as on a terminal; 0 where output
            goes to a file or a pipe.
    """

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""  # of a control sequence that has only begun
        self._lines = [""]
        self._row = self._column = 0

    def feed(self, data: bytes) -> str:
        """Take output in; return the lines that can change no more, each with its end."""
        text = self._rest + self._decoder.decode(data)
        cut = _UNFINISHED.search(text)
        text, self._rest = (text[: cut.start()], cut[0]) if cut else (text, "")
        if _MOVES.search(text) or self._row < len(self._lines) - 1:
            self._draw(text)
        else:
            first, *further = text.split("\n")
            self._write(first)
            self._lines += further
            self._row += len(further)
            if further:
                self._column = len(further[-1])
        return self._settled()

    def close(self) -> str:
        """Return what is left, as it stands."""
        self._write(self._decoder.decode(b"", final=True))
        text = "\n".join(line.rstrip() for line in self._lines).rstrip("\n")
        self._lines, self._row, self._column = [""], 0, 0
        return f"{text}\n" if text else ""

    def _settled(self) -> str:
        if len(self._lines[self._row]) > _WIDEST:
            self._new_line()
        done = len(self._lines) - 1 - self.rows
        if done <= 0 or self._row < done:
            return ""
        text = "".join(f"{line.rstrip()}\n" for line in self._lines[:done])
        del self._lines[:done]
        self._row -= done
        return text

    def _draw(self, text: str) -> None:
        at = 0
        for found in _CONTROL.finditer(text):
            self._write(text[at : found.start()])
            at = found.end()
            match found[0]:
                case "\n":
                    self._new_line()
                case "\r":
                    self._column = 0
                case "\x08":
                    self._column = max(0, self._column - 1)
                case _ if found[2]:
                    self._obey(found[2], found[1])
        self._write(text[at:])

    def _write(self, text: str) -> None:
        if text:
            line = self._lines[self._row].ljust(self._column)
            end = self._column + len(text)
            self._lines[self._row] = line[: self._column] + text + line[end:]
            self._column = end

    def _new_line(self) -> None:
        self._row += 1
        self._column = 0
        if self._row == len(self._lines):
            self._lines.append("")

    def _obey(self, command: str, told: str) -> None:
        number = int(told) if told.isdigit() else 0
        steps = max(1, number)
        line = self._lines[self._row]
        match command:
            case "A" | "F":
                self._row = max(0, self._row - steps)
            case "B" | "E":
                self._row = min(len(self._lines) - 1, self._row + steps)
            case "C":
                self._column += steps
            case "D":
                self._column = max(0, self._column - steps)
            case "G":
                self._column = steps - 1
            case "K":
                end = line[self._column :] if number == 1 else ""
                start = line[: self._column] if number == 0 else ""
                self._lines[self._row] = start + end.rjust(len(line) if number == 1 else 0)
            case "J" if number == 0:
                self._lines[self._row] = line[: self._column]
                del self._lines[self._row + 1 :]
        if command in "EF":
            self._column = 0
