"""The terminal side of `gristmill label review`: one key for each class.

The terminal hands over each key at once and does not echo it. Keys that were typed before a row was
shown are dropped, since they cannot be about it.
"""

from __future__ import annotations

import os
import shutil
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import say
from gristmill.label.review.keys import class_keys, named
from gristmill.label.review.screen import HELP, printable, screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.label.review.session import Session

_WIDEST = 100
_QUIT = ("", "q", "\x03", "\x04")
_KEY_BYTES = 16


class Prompt:
    """Asks on the terminal, one key at a time; from a pipe, one line at a time."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.keys = class_keys(session.classes)
        self.note: str | None = None
        self.told = ""
        self.live = sys.stdin.isatty() and sys.stdout.isatty()
        self.actions: dict[str, Callable[[], None]] = {
            "s": self._skip,
            "u": self._undo,
            "n": self._note,
            "/": self._name,
            "?": self._help,
        }

    def run(self) -> None:
        """Ask until the queue is done, or the annotator quits."""
        with _single_keys() if self.live else nullcontext():
            self._ask()

    def _ask(self) -> None:
        while self.session.question is not None:
            self._show()
            key = self._key()
            if key in _QUIT:
                return
            if key in self.keys:
                self._answer(self.keys[key])
            else:
                self.actions.get(key, self._unknown)()

    def _show(self) -> None:
        question = self.session.question
        if question is None:
            return
        if self.live:
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
            click.clear()
        if self.told:
            say(self.told)
        width = min(shutil.get_terminal_size().columns, _WIDEST) if self.live else 80
        say(screen(self.session, question, self.keys, width))
        if self.note:
            say(f"note: {self.note}")
        self.told = ""

    def _key(self) -> str:
        if not self.live:
            return (sys.stdin.readline() or "q").strip()[:1] or " "
        typed = os.read(sys.stdin.fileno(), _KEY_BYTES)
        # An arrow key sends several bytes, none of which is an answer.
        return typed.decode("ascii", "replace")[:1] if typed[:1] != b"\x1b" else " "

    def _line(self, text: str) -> str:
        if not self.live:
            return sys.stdin.readline().strip()
        click.echo(f"{text}: ", nl=False)
        try:
            with _whole_lines():
                return sys.stdin.readline().strip()
        except KeyboardInterrupt:
            return ""

    def _answer(self, label: str) -> None:
        question = self.session.question
        self.session.answer(label, self.note)
        self.note = None
        if question is not None:
            self.told = f"row {printable(str(question.row_id))}: {printable(label)}"

    def _skip(self) -> None:
        self.session.skip(self.note)
        self.note = None
        self.told = "skipped"

    def _undo(self) -> None:
        self.told = "taken back" if self.session.undo() else "there is nothing to take back"

    def _note(self) -> None:
        self.note = self._line("note") or None

    def _name(self) -> None:
        typed = self._line("class")
        label = named(typed, self.session.classes)
        if label is None:
            self.told = f"no class, or several, begin with {typed!r}" if typed else ""
        else:
            self._answer(label)

    def _help(self) -> None:
        self.told = f"{HELP}\n"

    def _unknown(self) -> None:
        self.told = "no such key; ? for help"


@contextmanager
def _single_keys() -> Iterator[None]:
    """Have the terminal hand over each key at once, Ctrl-C too, within the block."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSANOW)
    mode = termios.tcgetattr(sys.stdin)
    mode[3] &= ~termios.ISIG
    termios.tcsetattr(sys.stdin, termios.TCSANOW, mode)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _whole_lines() -> Iterator[None]:
    """Have the terminal edit and echo lines again, within the block."""
    before = termios.tcgetattr(sys.stdin)
    mode = termios.tcgetattr(sys.stdin)
    mode[3] |= termios.ECHO | termios.ICANON | termios.ISIG
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
