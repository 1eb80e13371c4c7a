"""Load for five minutes while replicas, their nursery and the server are killed at random.

First the engine over replica processes in this process: besides being killed, replicas are stopped,
get rows that end them, and the model is swapped. Then a server over HTTP whose route picks between
a bundle and a registered model that is promoted anew all the time; the replicas, the server and who
promotes are killed now and then. Every request has to get exactly one answer, the right one, or a
refusal that says why; no feedback that was taken and no promotion may be lost; memory and open
files have to stay where they were.

    python benchmarks/serve_soak.py [--seconds 300] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from claims import Claim, claim, main
from serve_soak_engine import CLIENTS, Soak
from serve_soak_server import CLIENTS as HTTP_CLIENTS
from serve_soak_server import ServerSoak

QUICK_SECONDS = 40.0


def measure_for(seconds: float | None) -> Callable[[bool], Iterator[Claim]]:
    """Return the benchmark for so many seconds; None for what is usual."""

    def measure(quick: bool) -> Iterator[Claim]:
        whole = seconds or (QUICK_SECONDS if quick else 300.0)
        yield from engine_claims(whole / 3)
        yield from server_claims(2 * whole / 3)

    measure.__module__ = __name__
    return measure


def engine_claims(seconds: float) -> Iterator[Claim]:
    """The engine and its replicas, in this process."""
    soak = Soak(seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(soak.run())
    counts = soak.counts
    answered, refused = counts["answered"], total(counts, "refused: ")
    how = f"{seconds:.0f} s, {CLIENTS} clients, 3 replicas; {listed(soak.events)}; {listed(counts)}"
    yield claim(
        "engine and replicas under fire: requests without exactly one right answer or refusal",
        counts["requests"] - answered - refused
        + counts["batches told twice"] + counts["batches"] - counts["batches told"]
        + counts["faults in callbacks"] + counts["answered wrongly"],
        "requests", how, goal="<= 0",
    )  # fmt: skip
    yield claim(
        "engine and replicas under fire: requests that were answered",
        100 * answered / counts["requests"], "%",
        "the others were refused: they shared two deaths of their process, as said above",
        goal=">= 99",
    )  # fmt: skip
    yield claim(
        "engine and replicas under fire: growth of memory", soak.growth(), "MB",
        "what the process that serves has filled, last quarter less the second one; open files "
        f"at most {max(soak.files)} and {soak.files[-1]} at the end",
        goal="<= 8",
    )  # fmt: skip


def server_claims(seconds: float) -> Iterator[Claim]:
    """A server, its feedback log and the registry that it follows."""
    with tempfile.TemporaryDirectory() as folder:
        soak = ServerSoak(seconds, Path(folder))
        soak.run()
    counts = soak.counts
    clear = total(counts, "refused: 503") + counts["refused: 500 replica_lost"]
    good = counts["answered"] + counts["cut off by the server's death"] + clear
    how = f"{seconds:.0f} s of HTTP from {HTTP_CLIENTS} clients, 2 models; {listed(counts)}"
    yield claim(
        "server under fire: requests without exactly one right answer or a clear error",
        counts["requests"] - good + counts["names given twice"] + counts["orphans"]
        + counts["server's exit code was not 0"],
        "requests", how, goal="<= 0",
    )  # fmt: skip
    yield claim(
        "server under fire: feedback and promotions lost",
        total(counts, "feedback lost") + counts["feedback on the record twice"]
        + counts["feedback nobody took"] + counts["promotions lost"]
        + counts["live version does not answer"],
        "records", f"of {counts['feedback taken']:,} and {counts['promotions']:,}; as above",
        goal="<= 0",
    )  # fmt: skip


def total(counts: Counter[str], beginning: str) -> int:
    """Return the sum of what begins so."""
    return sum(count for what, count in counts.items() if what.startswith(beginning))


def listed(counts: Counter[str]) -> str:
    """Return what was counted, in words."""
    return ", ".join(f"{what} {count:,}" for what, count in counts.items() if count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seconds", type=float)
    options, rest = parser.parse_known_args()
    sys.exit(main(measure_for(options.seconds), rest))
