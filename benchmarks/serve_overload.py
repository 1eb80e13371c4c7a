"""More requests than the model can answer: how many are answered within 100 ms.

A model that takes 3.5 ms a batch and 3 ms a row, in batches of up to 13 rows; capacity is what it
does in full batches. Open-loop arrivals: Poisson, and with `--trace FILE` those of the Azure LLM
inference trace 2023 (code), whose requests are as much work as they have context tokens. First the
policies run under the virtual clock, then `ModelEndpoint` itself in this process, against a
thread that takes as long. What the simulation of that is told (what batches take, and what passes
around them) is measured in runs of their own.

    python benchmarks/serve_overload.py [--quick] [--trace AzureLLMInferenceTrace_code.csv]
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
from statistics import median
from typing import NamedTuple

import numpy as np
import uvloop
from numpy.typing import NDArray

from claims import Claim, claim, main
from gristmill.serve.online.endpoint import Call
from gristmill.serve.online.in_process import ThreadReplica
from gristmill.serve.online.model_endpoint import ModelEndpoint
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Rows
from gristmill.serve.scheduling.bounds import Bounds
from gristmill.serve.scheduling.request import Batch, Refused, Request
from gristmill.serve.scheduling.scheduler import Scheduler
from gristmill.serve.scheduling.simulation import Outcome, Overheads, Policy, simulate
from serve_bounds import Machine, foreseen, unreachable
from serve_policies import ClipperLike, FirstInFirstOut

FIXED, PER_ROW, ROWS, OBJECTIVE = 0.0035, 0.003, 13, 0.1
CAPACITY = ROWS / (FIXED + PER_ROW * ROWS)
_NOISE = 0.03
_OVERLOAD = 1.3
_ENOUGH = 20
"""Batches of which one is drawn, at least."""
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


# By name: what it does, and how to make one.
PEERS: dict[str, tuple[str, Callable[[], Policy]]] = {
    "Clipper": (
        "Clipper-like (deadline order, drop when elapsed, AIMD)",
        lambda: ClipperLike(OBJECTIVE, ROWS),
    ),
    "a fixed wait": (
        f"fixed wait of 10 ms and batches of up to {ROWS}",
        lambda: FirstInFirstOut(ROWS, 0.01),
    ),
    "no batching": ("no batching", FirstInFirstOut),
}


def overload(quick: bool) -> Iterator[Claim]:
    """Poisson arrivals at 1.3 times the capacity."""
    arrivals = poisson(_OVERLOAD, 20 if quick else 120, 1)
    ours = run(scheduler, arrivals)
    how = f"Poisson at {_OVERLOAD} x capacity ({CAPACITY:.0f}/s), objective 100 ms, virtual clock"
    share = ours.goodput() / CAPACITY
    for name, (what, make) in PEERS.items():
        peer = run(make, arrivals).goodput() / CAPACITY
        text = f"answers in time / capacity; {how}; peer: {what}"
        named = f"goodput under overload, beside {name}"
        yield claim(named, share, "", text, goal=">= 0.95", peer=peer)
    yield claim("late answers under overload", ours.late_share(), "", how, goal="< 0.005")


def bursts(quick: bool) -> Iterator[Claim]:
    """The same with the arrivals of a trace."""
    machine = Machine(FIXED, PER_ROW, ROWS)
    for file in _trace:
        arrivals = traced(file, _OVERLOAD, 2500 if quick else 100_000)
        most = unreachable(arrivals.at, arrivals.work, OBJECTIVE, machine)
        best = foreseen(arrivals.at, arrivals.work, OBJECTIVE, machine)
        ours = run(scheduler, arrivals)
        offered = float(arrivals.work.sum())
        how = (
            f"Azure LLM inference trace 2023 (code), {len(arrivals.at)} requests, faster to "
            f"{_OVERLOAD} x capacity, work by context tokens, objective 100 ms, virtual clock"
        )
        done = in_time(ours, arrivals)
        for name, (what, make) in PEERS.items():
            peer = in_time(run(make, arrivals), arrivals)
            text = (
                "work done in time / that of a schedule in order of deadline made by one who knows "
                f"all arrivals and what every batch takes ({best / offered:.3f} of the work that "
                f"came, so bursty is it); {how}; peer: {what}"
            )
            named = f"goodput in bursts, beside {name}"
            yield claim(named, done / best, "", text, peer=peer / best, more_is_better=True)
        yield claim(
            "goodput in bursts, of an upper bound", done / most, "",
            "work done in time / what a machine would do that stops and resumes as it likes, with "
            f"parts of requests and the set-up times of full batches: nobody reaches it; {how}; "
            "peer: the schedule of one who knows all arrivals",
            peer=best / most, more_is_better=True,
        )  # fmt: skip
        yield claim("late answers in bursts", ours.late_share(), "", how, goal="< 0.005")


def in_time(outcome: Outcome, arrivals: Arrivals) -> float:
    """Return the work that was done in time."""
    return float(arrivals.work[outcome.in_time].sum())


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
        named = f"p50 at {load} x capacity"
        yield claim(named, ours / alone, "", how, goal="<= 1.0", peer=fixed / alone)


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
    """What batches took in a real run, and what passed around them; seconds.

    Attributes:
        batches: work of each, and how long it took from its start to its end.
        hearing, starting, telling: as in `Overheads`.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[float, float]] = []
        self.hearing: list[float] = []
        self.starting: list[float] = []
        self.telling: list[float] = []
        self._heard: dict[float, float] = {}
        self._ended: dict[float, float] = {}
        self._free = float("-inf")

    def listen(self, scheduler: Scheduler) -> None:
        """Take down what the scheduler is told from now on; deadlines tell requests apart."""
        offer, next_batch, finished = scheduler.offer, scheduler.next_batch, scheduler.finished

        def offered(request: Request, now: float) -> Refused | None:
            self._heard[request.deadline] = now
            self.hearing.append(now - (request.deadline - OBJECTIVE))
            return offer(request, now)

        def taken(replica: int, now: float, idle: int = 1) -> Batch | None:
            batch = next_batch(replica, now, idle)
            if batch is not None:
                waits = min(self._heard[each.deadline] for each in batch.requests)
                self.starting.append(now - max(waits, self._free))
            return batch

        def ended(batch: Batch, seconds: float, now: float) -> None:
            self.batches.append((batch.work, seconds))
            self._free = now
            self._ended.update((each.deadline, now) for each in batch.requests)
            finished(batch, seconds, now)

        for name, method in (("offer", offered), ("next_batch", taken), ("finished", ended)):
            setattr(scheduler, name, method)

    def told(self, deadline: float, now: float) -> None:
        """Note that the answer to the request of this deadline is there."""
        self.telling.append(now - self._ended[deadline])

    def __add__(self, other: Observed) -> Observed:
        both = Observed()
        for name in ("batches", "hearing", "starting", "telling"):
            getattr(both, name).extend(getattr(self, name) + getattr(other, name))
        return both

    def line(self) -> tuple[float, float]:
        """Return fixed seconds and seconds per row, by least squares on relative errors."""
        work, seconds = np.array(self.batches).T
        per_row, fixed = np.polyfit(work, seconds, 1, w=1 / seconds)
        return float(fixed), float(per_row)

    def summary(self) -> str:
        """Return the medians of the overheads."""
        seen = (self.hearing, self.starting, self.telling)
        return ", ".join(
            f"{name} {np.median(each) * 1e3:.2f} ms"
            for name, each in zip(Overheads._fields, seen, strict=True)
        )

    def latency(self, draw: np.random.Generator) -> Callable[[Batch], float]:
        """Return a latency: the line, and what one of the batches about as large took beside it."""
        work, seconds = np.array(sorted(self.batches)).T
        fixed, per_row = self.line()
        beside = seconds - (fixed + per_row * work)

        def drawn(batch: Batch) -> float:
            first, behind = np.searchsorted(work, [batch.work - 0.5, batch.work + 0.5])
            if behind - first < _ENOUGH:
                first = max(0, min(first, len(work) - _ENOUGH))
                behind = first + _ENOUGH
            return float(fixed + per_row * batch.work + beside[draw.integers(first, behind)])

        return drawn

    def overheads(self, draw: np.random.Generator) -> Overheads:
        """Return overheads that are drawn from those that were seen."""
        seen = [np.array(each) for each in (self.hearing, self.starting, self.telling)]
        return Overheads(*(lambda values=values: float(draw.choice(values)) for values in seen))


async def serve(arrivals: Arrivals) -> tuple[Outcome, Observed]:
    """Send the arrivals to a real endpoint; return what became of them, and what it saw."""
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
        call = _call(began + float(arrivals.at[place]) + OBJECTIVE)
        try:
            await endpoint.answer(rows, call)
            answered[place] = True
        except Refusal:
            pass
        now = time.monotonic()
        ends[place] = now - began
        if answered[place]:
            observed.told(call.deadline, now)

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


def served(load: float, seconds: float, seed: int) -> tuple[Arrivals, Outcome, Observed]:
    """Serve Poisson arrivals on the event loop that servers run on."""
    arrivals = poisson(load, seconds, seed)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, observed = runner.run(serve(arrivals))
    return arrivals, found, observed


def told(arrivals: Arrivals, seen: Observed, seed: int) -> Outcome:
    """Simulate what the endpoint does with these arrivals, by what was seen in other runs."""
    draw = np.random.default_rng(seed)
    latency = seen.latency(draw)
    ours = Scheduler(Bounds(batch_rows=ROWS))
    for _ in range(3):
        for rows in (1, ROWS):
            ours.observe(0, rows, latency(Batch([], rows, float(rows), 0, 0.0)))
    requests = [Request(1, 1.0, at + OBJECTIVE) for at in arrivals.at.tolist()]
    return simulate(ours, requests, arrivals.at, latency, overheads=seen.overheads(draw))


def real(quick: bool) -> Iterator[Claim]:
    """The endpoint itself, and how well the simulation tells what it does."""
    loads, seconds, runs = (0.5, _OVERLOAD), 6 if quick else 15, 2 if quick else 4
    seen = sum((served(load, seconds, 5)[2] for load in loads), Observed())
    fixed, per_row = seen.line()
    attained = ROWS / (fixed + per_row * ROWS)
    for load in loads:
        pairs = []
        for seed in range(10, 10 + runs):
            arrivals, found, _ = served(load, seconds, seed)
            pairs.append((found, [told(arrivals, seen, draw) for draw in range(3)]))
        how = (
            f"Poisson at {load} x capacity, {runs} x {seconds} s, ModelEndpoint with a thread, "
            "client in the same event loop"
        )
        if load > 1:
            share = median([found.goodput() for found, _ in pairs]) / attained
            text = f"answers in time / capacity (as fitted: {attained:.0f}/s); {how}"
            yield claim("goodput, real", share, "", text, goal=">= 0.95")
            late = max(found.late_share() for found, _ in pairs)
            yield claim("late answers, real", late, "", f"worst run; {how}", goal="< 0.005")
        for name, figure in (("answers in time", Outcome.goodput), ("p50", _p50)):
            reals = [figure(found) for found, _ in pairs]
            simulated = [figure(each) for _, several in pairs for each in several]
            text = (
                f"|simulated / real - 1| of {name}, medians of {len(simulated)} simulations "
                f"({spread(simulated)}) and {runs} runs ({spread(reals)}), for one stall moves the "
                f"margin of the next 512 batches; drawn are batches and overheads seen in other "
                f"runs ({seen.summary()}); {how}"
            )
            gap = abs(median(simulated) / median(reals) - 1)
            named = f"simulation beside the endpoint at {load} x capacity, {name}"
            yield claim(named, gap, "", text, goal="<= 0.1")


def spread(values: Sequence[float]) -> str:
    """Return the least and the largest value."""
    return f"{min(values):.3g} to {max(values):.3g}"


def _p50(outcome: Outcome) -> float:
    return outcome.latency(0.5)


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
