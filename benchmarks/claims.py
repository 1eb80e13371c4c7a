"""What every benchmark here shares: claims, the two options, measuring, printing.

A benchmark is a function `measure(quick)` that gives claims; `main(measure)` does the rest.
"""

from __future__ import annotations

import argparse
import operator
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
RECORDED = "(recorded)"
"""Stands in `how` where the peer's figure was measured earlier, not in the same run."""

_GOALS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, what others reach, and what it should be.

    Attributes:
        ours, peer: in `unit`; no peer where nobody has such a figure.
        ratio: how many times better ours is; None without a peer, or where one of them is 0.
        goal: a sign and a number, as `< 60`; None for a figure that is only told.
        holds: whether ours meets the goal; None without one.
        how: what was measured, and how.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    goal: str | None
    holds: bool | None
    unit: str
    how: str


class Results(msgspec.Struct):
    """All claims of one benchmark, as they lie in its file."""

    claims: list[Claim]


def claim(
    name: str,
    ours: float,
    unit: str,
    how: str,
    *,
    goal: str | None = None,
    peer: float | None = None,
    more_is_better: bool | None = None,
) -> Claim:
    """Make a claim; `more_is_better` has to be said where no goal tells."""
    if more_is_better is None:
        more_is_better = goal is not None and goal.startswith(">")
    return Claim(
        name=name,
        ours=ours,
        peer=peer,
        ratio=times_better(ours, peer, more_is_better),
        goal=goal,
        holds=None if goal is None else meets(ours, goal),
        unit=unit,
        how=how,
    )


def times_better(ours: float, peer: float | None, more_is_better: bool) -> float | None:
    """Return how many times better ours is than the peer's figure, None where that says nothing."""
    if not ours or not peer:
        return None
    return ours / peer if more_is_better else peer / ours


def meets(ours: float, goal: str) -> bool:
    """Say whether a figure meets a goal such as `< 60` or `>= 0.93`.

    Raises:
        ValueError: the goal is not a sign and a number.
    """
    sign, _, number = goal.partition(" ")
    if sign not in _GOALS:
        raise ValueError(f"expected a goal such as '< 60', found {goal!r}")
    return bool(_GOALS[sign](ours, float(number)))


def main(measure: Callable[[bool], Iterable[Claim]], arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark: read the options, measure, print the table, write the file.

    Returns 0 also where a goal is missed: a benchmark tells what is, it does not judge.
    """
    parser = argparse.ArgumentParser(description=sys.modules[measure.__module__].__doc__)
    parser.add_argument("--quick", action="store_true", help="a quick look, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the claims here")
    options = parser.parse_args(arguments)
    return conclude(list(measure(options.quick)), options)


def conclude(found: list[Claim], options: argparse.Namespace) -> int:
    """Print the claims, those of a quick run marked, write the file, and return 0."""
    if options.quick:
        found = [msgspec.structs.replace(each, how=f"{each.how}; quick run") for each in found]
    print(as_text(found))
    if options.json:
        write(found, options.json)
    return 0


def write(claims: list[Claim], file: Path) -> None:
    """Write claims as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(Results(claims)), indent=2)
    file.write_bytes(text + b"\n")


def read(file: Path) -> list[Claim]:
    """Read what `write` wrote.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return msgspec.json.decode(file.read_bytes(), type=Results).claims


def as_text(claims: Sequence[Claim]) -> str:
    """Return claims as a table, how each was measured below its figures."""
    lines = []
    for each in claims:
        peer = "" if each.peer is None else f"  peer {number(each.peer)}"
        ratio = "" if each.ratio is None else f"  {ratio_text(each.ratio)}"
        goal = "" if each.goal is None else f"  goal {each.goal}: {holds_text(each)}"
        lines.append(f"{each.name}: {number(each.ours)} {each.unit}{peer}{ratio}{goal}")
        lines.append(f"    {each.how}")
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a figure with three or four digits that count, thousands apart."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio_text(ratio: float) -> str:
    """Return a ratio as `12x`."""
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def holds_text(each: Claim) -> str:
    """Return `yes`, `no`, or nothing without a goal."""
    return "" if each.holds is None else "yes" if each.holds else "**no**"


class Spent(msgspec.Struct, frozen=True):
    """What a command cost, and what it printed."""

    wall_seconds: float
    cpu_seconds: float
    returncode: int
    stdout: str


def command(arguments: Sequence[str | Path], folder: Path | None = None) -> Spent:
    """Run a command and tell its cost; CPU is that of the process and of all that it waited for.

    Without `folder` it runs in an empty one, so that nothing there can be imported by accident.
    """
    with tempfile.TemporaryDirectory() as empty:
        before, began = _children_cpu(), time.perf_counter()
        done = subprocess.run(
            [str(each) for each in arguments],
            cwd=folder or empty,
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - began
    return Spent(wall, _children_cpu() - before, done.returncode, done.stdout)


def must(arguments: Sequence[str | Path], folder: Path | None = None) -> Spent:
    """Run a command that has to succeed.

    Raises:
        RuntimeError: it ended with another code than 0.
    """
    spent = command(arguments, folder)
    if spent.returncode:
        shown = " ".join(str(each) for each in arguments)
        raise RuntimeError(f"`{shown}` ended with {spent.returncode}:\n{spent.stdout}")
    return spent


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def median_of(times: int, measure: Callable[[], float]) -> float:
    """Return the median of some measurements, after one that warms up and is dropped."""
    measure()
    return statistics.median(measure() for _ in range(times))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds (all threads) that some work in this process takes."""
    before = time.process_time()
    work()
    return time.process_time() - before
