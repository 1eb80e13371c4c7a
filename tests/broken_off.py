"""The command line, ended by a signal once it has come to a point, however late anybody looks."""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from gristmill.cli.main import main

folder, pattern, count, number = sys.argv[1:5]
del sys.argv[1:5]

def watch():
    while len(list(Path(folder).glob(pattern))) < int(count):
        time.sleep(0.001)
    os.kill(os.getpid(), int(number))

threading.Thread(target=watch, daemon=True).start()
main()
"""


def broken_off(folder: Path, pattern: str, count: int, number: int) -> list[str]:
    """Return the words before the arguments: the signal comes with so many such files."""
    return [sys.executable, "-c", _PROGRAM, str(folder), pattern, str(count), str(int(number))]
