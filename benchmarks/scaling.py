"""Where each stage would saturate on 10, 100 and 1,000 nodes: measured constants, then arithmetic.

A stage is run here in one process on an engine that weighs what would cross the network: items to
the workers, results to the driver. That gives processor seconds a row, of workers and of the
driver, and bytes a row; what an engine takes to hand out a partition is measured by `engines.py`.
The rest is computed: a job takes as long as its slowest part, and that part is the
bottleneck. Training is run by the simulator, whose scheduler is the real one.

python benchmarks/scaling.py [--gigabytes 1] [--cores 8] [--network 1.25]
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engines import GROUPS, make_large
from engines_large import STAGES
from gristmill.engine import Engine, Inline
from gristmill.engine.outcome import Outcome
from gristmill.train.tasks.simulate import simulate
from gristmill.train.tasks.trial_graph import TrialGraph
from gristmill.train.tasks.trial_shape import StageCost, TrialShape

NODES = (10, 100, 1000)
HAND_OUT = ("ray=1.6", "spark=37.5")
"""Milliseconds by the clock for an empty partition: `engines.py`, two workers, a quiet machine."""
PARAMETERS = (10e6, 100e6, 1e9)
STEPS = 4


class Weighed(msgspec.Struct, kw_only=True):
    """What one stage took over a table, or what it takes more for each further row.

    Attributes:
        read: bytes of the table.
        items: how many times something was handed out.
        sent, received: bytes of all items and all results, pickled; the function apart.
        worker, driver: processor seconds of the function, and of all else.
    """

    read: float = 0
    items: float = 0
    sent: float = 0
    received: float = 0
    worker: float = 0.0
    driver: float = 0.0


class WeighingEngine(Inline):
    """Works right here, and weighs what would have been sent."""

    shares_files = True

    def __init__(self, weighed: Weighed) -> None:
        self.weighed = weighed

    def attempts(
        self, fn: Callable[[Any], Any], items: Iterable[Any], /
    ) -> Generator[Outcome[Any], None, None]:
        """Do one item after the other."""
        for item in items:
            self.weighed.items += 1
            self.weighed.sent += len(pickle.dumps(item))
            began = time.process_time()
            outcome = Outcome(fn(item))
            self.weighed.worker += time.process_time() - began
            self.weighed.received += len(pickle.dumps(outcome.value))
            yield outcome


def weigh(run: Callable[[Path, Path, Engine], None], file: Path, out: Path) -> Weighed:
    """Run a stage and weigh it."""
    weighed = Weighed(read=file.stat().st_size)
    engine = WeighingEngine(weighed)
    began = time.process_time()
    run(file, out, engine)
    weighed.driver = time.process_time() - began - weighed.worker
    return weighed


def per_row(less: Weighed, more: Weighed, rows: int) -> Weighed:
    """Return what the larger of two tables takes more, for each of the rows that it has more.

    What is done once a job, such as reading a footer, is in both and in neither's difference.
    """
    fields = Weighed.__struct_fields__
    return Weighed(**{
        name: max(0.0, (getattr(more, name) - getattr(less, name)) / rows) for name in fields
    })  # fmt: skip


def hand_out_seconds(texts: Sequence[str]) -> dict[str, float]:
    """Return engine -> seconds to hand out an item, from texts such as `ray=9.5`, in ms."""
    pairs = (text.partition("=") for text in texts)
    return {name: float(figure) / 1000 for name, _, figure in pairs}


def stage_times(
    found: Weighed, nodes: int, hand_out: float, options: argparse.Namespace
) -> dict[str, float]:
    """Return the seconds that each part of a cluster is busy with a row."""
    network = options.network * 1e9
    return {
        "workers' processors": found.worker / (nodes * options.cores),
        "workers' network": found.read / (nodes * network),
        "driver's processor": found.driver,
        "driver handing out": found.items * hand_out,
        "driver's network": (found.sent + found.received) / network,
    }


def stage_lines(name: str, found: Weighed, options: argparse.Namespace) -> Iterator[str]:
    """Yield a line of the table for each engine and number of nodes."""
    for engine, hand_out in hand_out_seconds(options.hand_out).items():
        for nodes in NODES:
            times = stage_times(found, nodes, hand_out, options)
            slowest = max(times, key=lambda part: times[part])
            speed = 1e-6 / times[slowest]
            used = times["workers' processors"] / times[slowest]
            yield f"| {name} | {engine} | {nodes:,} | {speed:,.1f} | {slowest} | {used:.0%} |"


def weight_line(name: str, found: Weighed) -> str:
    """Return a line of the table of constants."""
    cells = [f"{found.items * 1e6:.2f}", f"{1e9 * found.worker:,.0f}", f"{1e9 * found.driver:,.1f}"]
    cells += [f"{found.read:.0f}", f"{found.sent:.4f}", f"{found.received:.4f}"]
    return f"| {name} | {' | '.join(cells)} |"


def scheduler_line(devices: int) -> str:
    """Simulate trials of four stages, two a device; tell the use of devices and a task's cost."""
    stages, trials = (StageCost(1.0, 2.0),) * 4, 2 * devices
    shape = TrialShape(stages, 4, "stage")
    graphs = [TrialGraph(trial, shape, 0, STEPS) for trial in range(trials)]
    began = time.process_time()
    timeline = simulate(graphs, devices, keep=False)
    tasks = trials * STEPS * len(stages) * 3  # forward, backward, update
    each = (time.process_time() - began) / tasks
    used = trials * STEPS * shape.step_seconds / (devices * timeline.makespan)
    return f"| {devices:,} | {used:.3f} | {1e6 * each:.0f} | {1000 * devices * each:,.0f} |"


def gradient_line(parameters: float, network: float) -> str:
    """Tell the seconds of a step's exchange between replicas that add up in a fixed order.

    Each node receives the gradients of all others and the parameters that they updated: n x 4 bytes
    a parameter. A ring, which adds in an order of its own, moves 2 x 4 bytes whatever n is.
    """
    size = 4 * parameters / (network * 1e9)
    cells = " | ".join(f"{nodes * size:,.2f}" for nodes in NODES)
    return f"| {parameters / 1e6:,.0f} | {cells} | {2 * size:.2f} |"


def main() -> None:
    """Measure, compute, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of the table weighed here")
    parser.add_argument("--cores", type=int, default=8, help="of a node")
    parser.add_argument("--network", type=float, default=1.25, help="GB/s of a node")
    parser.add_argument("--hand-out", nargs="+", default=HAND_OUT, help="ENGINE=MS an item")
    options = parser.parse_args()
    weighed = {}
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / f"{name}.parquet" for name in ("first", "less", "more")]
        sizes = (0.0, options.gigabytes / 4, options.gigabytes)
        rows = [make_large(file, size) for file, size in zip(files, sizes, strict=True)]
        for name, run in STAGES.items():
            # The first table pays for imports.
            _, less, more = (
                weigh(run, file, Path(place) / f"{name}-{file.stem}") for file in files
            )
            weighed[name] = per_row(less, more, rows[2] - rows[1])
    print(
        f"from {rows[1]:,} and {rows[2]:,} rows in {GROUPS} row groups; bytes and ns are a row's\n"
    )
    print("| stage | items a million rows | worker, ns | driver, ns | read | sent | received |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(weight_line(name, found) for name, found in weighed.items()))
    print("\n| stage | engine | nodes | million rows a second | bottleneck | workers busy |")
    print("|---|---|---|---|---|---|")
    for name, found in weighed.items():
        print("\n".join(stage_lines(name, found, options)))
    print("\n| devices | used | scheduling a task, us | shortest task that keeps up, ms |")
    print("|---|---|---|---|")
    print("\n".join(map(scheduler_line, NODES)))
    print("\n| million parameters | 10 nodes, s | 100 | 1,000 | a ring |")
    print("|---|---|---|---|---|")
    print("\n".join(gradient_line(each, options.network) for each in PARAMETERS))


if __name__ == "__main__":
    main()
