"""The server process that `ServerProcess` starts: `python -m gristmill.serve LAUNCH`.

LAUNCH is JSON (`process.Launch`). The process prints one line of JSON (`process.Report`) and ends
when its standard input does, so that it never outlives its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.serve.server.process import Launch, Report


def main(argument: str) -> int:
    """Serve until told to stop; return the exit code."""
    from gristmill.serve.server.lifecycle import serve

    launch = msgspec.json.decode(argument, type=Launch)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        serve(
            launch.plan or dict(launch.sources),
            launch.settings,
            announce=lambda ready: _say(Report(url=ready.url)),
        )
    except GristmillError as error:
        kind = type(error).__name__
        _say(Report(kind=kind, message=error.message, where=error.where, fix=error.fix))
        return error.exit_code
    return 0


def _stop_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def _say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
