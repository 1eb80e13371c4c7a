"""More requests than the model can answer: how many are answered within 100 ms.

A model that takes 3.5 ms a batch and 3 ms a row, in batches of up to 13 rows; capacity is what it
does in full batches. Open-loop arrivals: Poisson, and with `--trace FILE` those of the Azure LLM
inference trace 2023 (code), whose requests are as much work as they have context tokens. First the
policies run under the virtual clock, then `ModelEndpoint` itself in this process, against a
thread that takes as long.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import datetime
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.claims import Claim, claim, main
from benchmarks.serve_policies import ClipperLike, FirstInFirstOut
from numpy.typing import NDArray

from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import ThreadReplica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.request import Batch, Request
from gristmill.serve.scheduling.scheduler import Scheduler
from gristmill.serve.scheduling.simulation import Outcome, Policy, simulate

FIXED, PER_ROW, ROWS, OBJECTIVE = 0.0035, 0.003, 13, 0.1
CAPACITY = ROWS / (FIXED + PER_ROW * ROWS)
_NOISE = 0.03
_OVERLOAD = 1.3
_trace: list[Path] = []


class Arrivals(NamedTuple):
    """When requests come (float64[n], seconds), and their work (float64[n], 1 on average)."""

    at: NDArray[np.float64]
    work: NDArray[np.float64]


def poisson(load: float, seconds: float, seed: int) -> Arrivals:
    """Draw arrivals at `load` times the capacity."""
    draw = np.random.default_rng(seed)
    count = int(load * CAPACITY * seconds)
    at = np.cumsum(draw.exponential(1 / (load * CAPACITY), count))
    return Arrivals(at, np.ones(count))


def traced(file: Path, load: float, most: int) -> Arrivals:
    """Read a trace, its time made faster until its mean is `load` times the capacity."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))[:most]
    times = [datetime.datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in rows]
    work = np.array([float(row["ContextTokens"]) for row in rows])
    at = np.array(times) - times[0]
    return Arrivals(at * (len(at) / at[-1]) / (load * CAPACITY), work / work.mean())


def run(make: Callable[[], Policy], arrivals: Arrivals, seed: int = 0) -> Outcome:
    """Run a policy under the virtual clock; batches vary by a few per cent."""
    draw = np.random.default_rng(seed)

    def latency(batch: Batch) -> float:
        return float((FIXED + PER_ROW * batch.work) * draw.lognormal(0.0, _NOISE))

    requests = [
        Request(1, float(work), float(at) + OBJECTIVE)
        for at, work in zip(arrivals.at, arrivals.work, strict=True)
    ]
    return simulate(make(), requests, arrivals.at, latency)


def scheduler(fixed: float = FIXED, per_row: float = PER_ROW) -> Scheduler:
    """Return ours, which was warmed up with one row and with full batches."""
    ours = Scheduler(Bounds(batch_rows=ROWS))
    for _ in range(3):
        for rows in (1, ROWS):
            ours.observe(0, rows, fixed + per_row * rows)
    return ours


PEERS: dict[str, Callable[[], Policy]] = {
    "Clipper-like (deadline order, drop when elapsed, AIMD)": lambda: ClipperLike(OBJECTIVE, ROWS),
    "fixed wait of 10 ms and batches of up to 13": lambda: FirstInFirstOut(ROWS, 0.01),
    "no batching": FirstInFirstOut,
}


def attainable(arrivals: Arrivals) -> float:
    """Return the work that can be done in time: a fluid at capacity, with a queue of 100 ms.

    Nobody can do more than in full batches, nor keep work longer than its deadline.
    """
    backlog, done, before = 0.0, 0.0, 0.0
    for at, work in zip(arrivals.at.tolist(), arrivals.work.tolist(), strict=True):
        backlog = max(backlog - (at - before) * CAPACITY, 0.0)
        taken = min(work, OBJECTIVE * CAPACITY - backlog)
        backlog, done, before = backlog + taken, done + taken, at
    return done


def overload(quick: bool) -> Iterator[Claim]:
    """Poisson arrivals at 1.3 times the capacity."""
    arrivals = poisson(_OVERLOAD, 20 if quick else 120, 1)
    ours = run(scheduler, arrivals)
    how = f"Poisson at {_OVERLOAD} x capacity ({CAPACITY:.0f}/s), objective 100 ms, virtual clock"
    share = ours.goodput() / CAPACITY
    for name, make in PEERS.items():
        peer = run(make, arrivals).goodput() / CAPACITY
        text = f"answers in time / capacity; {how}; peer: {name}"
        yield claim("goodput under overload", share, "", text, goal=">= 0.95", peer=peer)
    yield claim("late answers under overload", ours.late_share(), "", how, goal="< 0.005")


def bursts(quick: bool) -> Iterator[Claim]:
    """The same with the arrivals of a trace."""
    for file in _trace:
        arrivals = traced(file, _OVERLOAD, 2500 if quick else 100_000)
        bound = attainable(arrivals)
        ours = run(scheduler, arrivals)
        how = (
            f"Azure LLM inference trace 2023 (code), {len(arrivals.at)} requests, faster to "
            f"{_OVERLOAD} x capacity, work by context tokens, objective 100 ms, virtual clock"
        )
        share = float(arrivals.work[ours.in_time].sum()) / bound
        for name, make in PEERS.items():
            theirs = run(make, arrivals)
            peer = float(arrivals.work[theirs.in_time].sum()) / bound
            text = (
                "work done in time / what a fluid at capacity would do, which has no set-up time "
                f"and no whole requests (nobody can reach it); {how}; peer: {name}"
            )
            yield claim("goodput in bursts", share, "", text, peer=peer, more_is_better=True)
        yield claim("late answers in bursts", ours.late_share(), "", how, goal="< 0.005")


def calm(quick: bool) -> Iterator[Claim]:
    """Fewer requests than can be answered: batching must not make them wait."""
    for load in (0.1, 0.25, 0.4):
        arrivals = poisson(load, 40 if quick else 200, 2)
        ours = run(scheduler, arrivals).latency(0.5)
        alone = run(FirstInFirstOut, arrivals).latency(0.5)
        fixed = run(lambda: FirstInFirstOut(ROWS, 0.01), arrivals).latency(0.5)
        how = (
            f"p50 / p50 without batching ({alone * 1000:.1f} ms), Poisson at {load} x capacity, "
            "virtual clock; peer: fixed wait of 10 ms"
        )
        yield claim("p50 below capacity", ours / alone, "", how, goal="<= 1.0", peer=fixed / alone)


class Sleeper:
    """A model that takes as long as the simulated one, without using the processor."""

    name, fingerprint, inputs, outputs, classes = "sleeper", "0", (), (), ()

    def work(self, rows: Rows) -> NDArray[np.float64]:
        found = rows["work"]
        return np.asarray(found, np.float64)

    def __call__(self, rows: Rows) -> Rows:
        time.sleep(FIXED + PER_ROW * float(self.work(rows).sum()))
        return rows


class Observed:
    """What batches took in the real run, to be drawn from in the simulated one."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, float]] = []

    def listen(self, scheduler: Scheduler) -> None:
        """Take down every batch that ends from now on."""
        finished = scheduler.finished

        def noted(batch: Batch, seconds: float, now: float) -> None:
            self.batches.append((batch.work, seconds))
            finished(batch, seconds, now)

        scheduler.finished = noted  # type: ignore[method-assign]

    def line(self) -> tuple[float, float]:
        """Return fixed seconds and seconds per row, by least squares."""
        work, seconds = np.array(self.batches).T
        per_row, fixed = np.polyfit(work, seconds, 1)
        return float(fixed), float(per_row)

    def latency(self, seed: int) -> Callable[[Batch], float]:
        """Return a latency: the line and what one of the batches took beside it."""
        work, seconds = np.array(self.batches).T
        fixed, per_row = self.line()
        beside = seconds - fixed - per_row * work
        draw = np.random.default_rng(seed)
        return lambda batch: float(fixed + per_row * batch.work + draw.choice(beside))


async def serve(arrivals: Arrivals) -> tuple[Outcome, Observed]:
    """Send the arrivals to a real endpoint; return what became of them, and of its batches."""
    endpoint = ModelEndpoint(Sleeper(), [ThreadReplica(Sleeper())], limits=Bounds(batch_rows=ROWS))
    for _ in range(3):
        for rows in (1, ROWS):
            await endpoint.answer(Rows({"work": np.ones(rows)}), _call(time.monotonic() + 60.0))
    count = len(arrivals.at)
    ends, answered = np.full(count, np.nan), np.zeros(count, np.bool_)
    began = time.monotonic() + 0.1
    observed = Observed()
    observed.listen(endpoint.engine.scheduler)

    async def ask(place: int) -> None:
        rows = Rows({"work": arrivals.work[place : place + 1]})
        try:
            await endpoint.answer(rows, _call(began + float(arrivals.at[place]) + OBJECTIVE))
            answered[place] = True
        except Refusal:
            pass
        ends[place] = time.monotonic() - began

    tasks = []
    for place, at in enumerate(arrivals.at.tolist()):
        wait = began + at - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(ask(place)))
    await asyncio.gather(*tasks)
    batches = [round(endpoint.engine.tally.rows / endpoint.engine.tally.batches)]
    await endpoint.close()
    return Outcome(arrivals.at, arrivals.at + OBJECTIVE, ends, answered, batches), observed


def _call(deadline: float) -> Call:
    return Call(request_id="", deadline=deadline)


def real(quick: bool) -> Iterator[Claim]:
    """The endpoint itself, and how well the simulation tells what it does."""
    seconds = 8 if quick else 30
    for load in (0.5, _OVERLOAD):
        arrivals = poisson(load, seconds, 3)
        found, observed = asyncio.run(serve(arrivals))
        fixed, per_row = observed.line()
        requests = [Request(1, 1.0, at + OBJECTIVE) for at in arrivals.at.tolist()]
        told = simulate(scheduler(fixed, per_row), requests, arrivals.at, observed.latency(4))
        how = f"Poisson at {load} x capacity for {seconds} s, ModelEndpoint with a thread"
        if load > 1:
            attained = ROWS / (fixed + per_row * ROWS)
            text = f"answers in time / capacity (as fitted: {attained:.0f}/s); {how}"
            yield claim("goodput, real", found.goodput() / attained, "", text, goal=">= 0.95")
            yield claim("late answers, real", found.late_share(), "", how, goal="< 0.005")
        text = f"|simulated / real - 1| of answers in time; {how}"
        gap = abs(told.goodput() / found.goodput() - 1)
        yield claim("simulation beside the endpoint", gap, "", text, goal="<= 0.1")
        text = f"|simulated / real - 1| of p50; {how}"
        gap = abs(told.latency(0.5) / found.latency(0.5) - 1)
        yield claim("simulation beside the endpoint, p50", gap, "", text, goal="<= 0.1")


def measure(quick: bool) -> Iterator[Claim]:
    """Under the virtual clock, then for real."""
    yield from overload(quick)
    yield from bursts(quick)
    yield from calm(quick)
    yield from real(quick)


def _options(arguments: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--trace", type=Path, metavar="FILE", action="append", default=[])
    found, rest = parser.parse_known_args(arguments)
    _trace.extend(found.trace)
    return rest


if __name__ == "__main__":
    raise SystemExit(main(measure, _options(sys.argv[1:])))
