"""A process that stands between a step and the terminal: it passes output on and writes it down.

It is a process of its own because a thread could hang the step: native code that prints while it
holds Python's lock would wait for a reader that waits for the lock. And since it outlives whoever
prints, nobody ever writes into a closed pipe, and a killed step leaves a whole log.

It is told what to do by lines over a socket:

    open ROWS COUNT FOLDER    with COUNT pairs of descriptors, where output is read and where it
                              goes on to, and one more of what is only written down
    hide SPELLING NAME        in hexadecimal digits: a secret, which is not written down, and what
                              is in its place; answered by a byte
    drain                     all that has been printed is to be passed on now; answered by a byte
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gristmill.pipeline.provenance.bounded_log import BoundedLog
from gristmill.pipeline.provenance.terminal_text import TerminalText

OPEN, HIDE, DRAIN = "open", "hide", "drain"
_CHUNK = 1 << 16
_CONTROL = 0
_MOST_DESCRIPTORS = 5
_MOST_BYTES = 1 << 16


class _Log:
    """What is written down of one step, until it has ended or the disk is full."""

    def __init__(self, folder: Path, rows: int, redacted: Callable[[str], str]) -> None:
        self._redacted = redacted
        self._text = TerminalText(rows)
        self._log: BoundedLog | None = None
        with suppress(OSError):  # the step goes on without a log
            self._log = BoundedLog(folder)

    def add(self, data: bytes) -> None:
        self._write(self._text.feed(data))

    def close(self) -> None:
        self._write(self._text.close())
        if self._log is not None:
            self._log.close()
            self._log = None

    def _write(self, text: str) -> None:
        if self._log is not None:
            try:
                self._log.write(self._redacted(text).encode())
            except OSError:
                self._log = None


class _Channel:
    """One way that output takes."""

    def __init__(self, source: int, target: int | None, log: _Log) -> None:
        self.source, self.target, self.log = source, target, log
        os.set_blocking(source, False)

    def pass_on(self) -> bool:
        """Pass on what there is now; say whether more may come some day."""
        while True:
            try:
                data = os.read(self.source, _CHUNK)
            except BlockingIOError:
                return True
            except OSError:  # how a terminal says that nobody holds its other end
                data = b""
            if not data:
                self._close()
                return False
            self.log.add(data)
            self._forward(data)

    def _forward(self, data: bytes) -> None:
        while data and self.target is not None:
            try:
                data = data[os.write(self.target, data) :]
            except BlockingIOError:
                select.select([], [self.target], [])
            except OSError:  # the reader has gone: there is nobody to show it to
                os.close(self.target)
                self.target = None

    def _close(self) -> None:
        os.close(self.source)
        if self.target is not None:
            os.close(self.target)


class _Pump:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._channels: dict[int, _Channel] = {}
        self._step: list[_Channel] = []
        self._redacted: Callable[[str], str] = str
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def go(self) -> None:
        """Work until nobody prints any more and nobody is left to ask for anything."""
        told = True
        while told or self._channels:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._control.fileno():
                    told = self._listen()
                elif descriptor in self._channels:
                    self._pass_on(self._channels[descriptor])

    def _listen(self) -> bool:
        text, descriptors, _, _ = socket.recv_fds(self._control, _MOST_BYTES, _MOST_DESCRIPTORS)
        if not text:
            self._poll.unregister(self._control)
            self._end_step()
            return False
        for line in text.decode().splitlines():
            word, _, rest = line.partition(" ")
            if word == OPEN:
                self._open(rest, list(descriptors))
                continue
            if word == HIDE:
                self._hide(*(bytes.fromhex(text).decode() for text in rest.split(" ")))
            else:
                self._end_step()
            with suppress(OSError):
                self._control.send(b".")
        return True

    def _open(self, told: str, descriptors: list[int]) -> None:
        rows, count, folder = told.split(" ", 2)
        log = _Log(Path(folder), int(rows), lambda text: self._redacted(text))
        pairs = descriptors[: 2 * int(count)]
        self._step = [
            _Channel(source, target, log)
            for source, target in zip(pairs[::2], pairs[1::2], strict=True)
        ]
        self._step.append(_Channel(descriptors[-1], None, log))
        for channel in self._step:
            self._channels[channel.source] = channel
            self._poll.register(channel.source, select.POLLIN)

    def _hide(self, spelling: str, name: str) -> None:
        from gristmill.core.redaction import hide, redacted

        hide(spelling, name)
        self._redacted = redacted

    def _end_step(self) -> None:
        """Pass on all that was printed; what comes later is of whoever the step left behind."""
        for channel in self._step:
            if channel.source in self._channels:
                self._pass_on(channel)
        for channel in self._step:
            channel.log.close()
        self._step = []

    def _pass_on(self, channel: _Channel) -> None:
        source = channel.source
        if not channel.pass_on():
            # A closed descriptor has left the poll's list only if it is told.
            self._poll.unregister(source)
            del self._channels[source]


def main() -> None:
    """Be told over standard input, a socket, until that ends."""
    # Ctrl-C and the like are for the steps; this ends with them, and passes their last words on.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _Pump(socket.socket(fileno=_CONTROL)).go()
