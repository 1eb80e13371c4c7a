"""Sends what this process prints, and what its children do, past a process that writes it down."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import pty
import socket
import struct
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from gristmill.core.redaction import telling
from gristmill.pipeline.provenance.output_pump import DRAIN, HIDE, OPEN

_STANDARD = (1, 2)
_ROWS_OF_TERMINAL = 50
_PATIENCE = 60.0
"""Seconds to wait for a terminal that shows nothing."""
_BURIALS = 100
_SOURCES = str(Path(__file__).resolve().parents[3])
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from gristmill.pipeline.provenance.output_pump import main; main()"
)


@contextmanager
def captured(folder: Path) -> Iterator[IO[str]]:
    """Show what the block prints as ever, and write it into the `BoundedLog` of a folder.

    Seen are Python's streams and descriptors 1 and 2: what native code and child processes print,
    too. Where these are terminals, the block has terminals. One block at a time in a process.

    Yields:
        A stream whose text is written down and not shown.
    """
    outward = _Outward()
    reader, writer = os.pipe()
    rows = _ROWS_OF_TERMINAL if outward.is_terminal else 0
    told = [*outward.descriptors, reader]
    try:
        pump = _asked_pump(f"{OPEN} {rows} {len(outward.channels)} {folder}\n", told)
    finally:
        for descriptor in (*outward.channels, reader):
            os.close(descriptor)
    with os.fdopen(writer, "w", encoding="utf-8", errors="replace", buffering=1) as record:
        outward.redirect()
        try:
            with (
                telling(pump.hide),
                _overheard("stdout", record),
                _overheard("stderr", record),
            ):
                yield record
        finally:
            outward.restore()
            record.flush()
            pump.drain()


@contextmanager
def _overheard(name: str, record: IO[str]) -> Iterator[None]:
    """Write down what goes to a stream of Python that leads elsewhere than to its descriptor."""
    stream = getattr(sys, name)
    if stream is None or _is_standard(stream):
        yield
        return
    tee = _Tee(stream, record)
    setattr(sys, name, tee)
    try:
        yield
    finally:
        tee.record = None
        if getattr(sys, name) is tee:
            setattr(sys, name, stream)


class _Outward:
    """Descriptors 1 and 2, and what takes their place for a while.

    Both share one way where they are the same file, so that the order of what is printed stays.
    """

    def __init__(self) -> None:
        self.channels: dict[int, tuple[list[int], int, int]] = {}
        """what is printed comes out here -> who prints, where it is shown, where it goes in"""
        self.is_terminal = False
        for descriptor in _STANDARD:
            with suppress(OSError):  # it is closed
                self._add(descriptor)

    @property
    def descriptors(self) -> list[int]:
        """Pairs of descriptors: where to read, and where to show it."""
        return [each for source, (_, shown, _) in self.channels.items() for each in (source, shown)]

    def redirect(self) -> None:
        """Let the standard descriptors lead here; what was printed before is out by then."""
        _flush()
        for printers, _, writer in self.channels.values():
            for descriptor in printers:
                os.dup2(writer, descriptor)
            os.close(writer)

    def restore(self) -> None:
        """Let them lead where they did."""
        _flush()
        for printers, shown, _ in self.channels.values():
            for descriptor in printers:
                os.dup2(shown, descriptor)
            os.close(shown)

    def _add(self, descriptor: int) -> None:
        for printers, shown, _ in self.channels.values():
            if os.path.samestat(os.fstat(descriptor), os.fstat(shown)):
                printers.append(descriptor)
                return
        shown = os.dup(descriptor)
        if os.isatty(shown):
            source, writer = pty.openpty()
            tty.setraw(writer)  # the terminal itself makes of a line's end what it needs
            size = fcntl.ioctl(shown, termios.TIOCGWINSZ, struct.pack("4H", 0, 0, 0, 0))
            fcntl.ioctl(writer, termios.TIOCSWINSZ, size)
            self.is_terminal = True
        else:
            source, writer = os.pipe()
        self.channels[source] = [descriptor], shown, writer


class _Tee:
    """A stream that is no standard descriptor, as notebooks have them: shown there, and kept.

    Whoever holds on to it after the block has the stream itself.
    """

    def __init__(self, shown: IO[str], record: IO[str]) -> None:
        self._shown = shown
        self.record: IO[str] | None = record

    def write(self, text: str) -> int:
        if self.record is not None:
            self.record.write(text)
        return self._shown.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)


def _is_standard(stream: IO[str]) -> bool:
    try:
        return stream.fileno() in _STANDARD
    except (OSError, ValueError, AttributeError):
        return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader has gone
            stream.flush()
    ctypes.CDLL(None).fflush(None)  # what native code has printed and C holds back


class _Pump:
    """The process that passes output on; one for all steps that this process runs."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._control, theirs = socket.socketpair()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        self._pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-S", "-E", "-s", "-c", _CODE, _SOURCES],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, nowhere, 1),
                (os.POSIX_SPAWN_DUP2, nowhere, 2),
            ],
        )
        theirs.close()
        os.close(nowhere)
        self._control.settimeout(_PATIENCE)
        self._asking = threading.Lock()
        atexit.register(self._end)

    def ask(self, line: str, descriptors: list[int]) -> None:
        """Tell it of a step.

        Raises:
            OSError: somebody has killed it.
        """
        socket.send_fds(self._control, [line.encode()], descriptors)

    def drain(self) -> None:
        """Wait until all that was printed is passed on and written down."""
        self._answered(f"{DRAIN}\n")

    def hide(self, spelling: str, name: str) -> None:
        """Have it leave a secret out of what it writes down, from here on."""
        self._answered(f"{HIDE} {spelling.encode().hex()} {name.encode().hex()}\n")

    def _answered(self, line: str) -> None:
        try:
            with self._asking:
                self._control.sendall(line.encode())
                self._control.recv(1)
        except OSError:  # killed, or the terminal shows nothing: the next step gets one of its own
            _running.clear()

    def _end(self) -> None:
        """Let it end, and bury it: it takes no longer than what it has to pass on."""
        if self.owner == os.getpid():
            self._control.close()
            for _ in range(_BURIALS):
                with suppress(ChildProcessError):
                    if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                        time.sleep(0.001)
                        continue
                break


_running: list[_Pump] = []


def _asked_pump(line: str, descriptors: list[int]) -> _Pump:
    """Return this process's pump, told of a step; started if need be."""
    if _running and _running[0].owner == os.getpid():  # a forked process needs one of its own
        with suppress(OSError):
            _running[0].ask(line, descriptors)
            return _running[0]
    _running[:] = [_Pump()]
    _running[0].ask(line, descriptors)
    return _running[0]
