"""The process in which `gristmill monitor` has a pipeline run.

`python -m gristmill.cli.monitor_retraining LOCK` reads what to do from standard input, runs the
pipeline as `gristmill run` would, and writes down how it ended. LOCK is the descriptor of the lock
that it holds all the while.
"""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from gristmill.cli.output import say
from gristmill.cli.run import Printer
from gristmill.pipeline.monitoring.retraining import Order, carry_out


def main(lock: int, order: bytes) -> int:
    """Carry out an order; return an exit code."""
    from gristmill.cli.main import INTERRUPTED

    os.set_inheritable(lock, False)  # what is started from here must not outlive us with it
    try:
        ended = carry_out(msgspec.json.decode(order, type=Order), Printer)
    except KeyboardInterrupt:
        say("stopped: the next look goes on from here")
        return INTERRUPTED
    say(f"{ended.action}: {'; '.join(ended.reasons)}")
    return 0


if __name__ == "__main__":
    # A shell that starts `gristmill monitor &` has it and its children ignore SIGINT, which is how
    # this one is asked to stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(int(sys.argv[1]), sys.stdin.buffer.read()))
