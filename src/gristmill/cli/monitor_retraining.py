"""The process in which `gristmill monitor` has a pipeline run.

`python -m gristmill.cli.monitor_retraining` reads what to do from standard input, runs the pipeline
as `gristmill run` would, and writes down how it ended.
"""

from __future__ import annotations

import sys

import msgspec

from gristmill.cli.output import say
from gristmill.cli.run import Printer
from gristmill.pipeline.monitoring.retraining import Order, carry_out


def main(order: bytes) -> int:
    """Carry out an order; return an exit code."""
    from gristmill.cli.main import INTERRUPTED

    try:
        ended = carry_out(msgspec.json.decode(order, type=Order), Printer)
    except KeyboardInterrupt:
        say("stopped: the next look goes on from here")
        return INTERRUPTED
    say(f"{ended.action}: {'; '.join(ended.reasons)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer.read()))
