"""Running a pipeline a second time: what it costs when nothing changed, and whether what changed is
noticed."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from claims import RECORDED, Claim, claim, main, median_of, must

GRISTMILL = Path(sys.executable).parent / "gristmill"
FILES = Path(__file__).parent / "rerun_project"
RESULT = "evaluate"
UNTOUCHED = "load"
STEPS = 100


class Edit(msgspec.Struct, frozen=True):
    """A change to one file of the project that changes the pipeline's result."""

    kind: str
    file: str
    old: str
    new: str


EDITS = (
    Edit("helper function", "helpers.py", "value + 1", "value + 2"),
    Edit("constant", "helpers.py", "SCALE = 2", "SCALE = 3"),
    Edit("class method", "helpers.py", "value * self.power", "value * self.power + 1"),
    Edit("method of a base class", "helpers.py", "return 5", "return 6"),
    Edit("helper of a helper", "deeper.py", "value - 1", "value - 2"),
    Edit("default argument", "helpers.py", "by: int = 0", "by: int = 1"),
    Edit("value in a table", "deeper.py", '"a": 1', '"a": 4'),
    Edit("function in a table", "helpers.py", "lambda value: value + 7", "lambda value: value + 8"),
    Edit("decorator", "deeper.py", "+ 10", "+ 11"),
    Edit("closure", "helpers.py", "adder(3)", "adder(4)"),
    Edit("partial", "helpers.py", "partial(power, 2)", "partial(power, 3)"),
    Edit("import inside a function", "late.py", "return 100", "return 101"),
)


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(FILES, project, ignore=shutil.ignore_patterns("__pycache__"))
        run_fresh(project)
        yield from speed_claims(project, 5 if quick else 15)
        yield from edit_claims(project, EDITS[:6] if quick else EDITS)
        yield from hundred_claims(Path(folder), 5 if quick else 15)


def speed_claims(project: Path, times: int) -> Iterator[Claim]:
    how = f"`gristmill run`, three steps, all cached, median of {times}"
    wall = median_of(times, lambda: must([GRISTMILL, "run"], project).wall_seconds)
    cpu = median_of(times, lambda: must([GRISTMILL, "run"], project).cpu_seconds)
    zenml, hamilton = f"peer ZenML 0.98 {RECORDED}", f"peer Hamilton 1.90 {RECORDED}"
    yield claim("cached re-run, wall", wall, "s", f"{how}; {zenml}", goal="< 0.5", peer=4.2)
    yield claim("cached re-run, CPU", cpu, "s", f"{how}; {hamilton}", goal="< 0.5", peer=0.98)


def hundred_claims(folder: Path, times: int) -> Iterator[Claim]:
    """Measure a pipeline of many steps, all cached, in turns without jobs and with them."""
    many = folder / "many"
    many.mkdir()
    (many / "pipeline.py").write_text(pipeline_of(STEPS))
    for file in FILES.glob("*.py"):
        if file.name != "pipeline.py":
            shutil.copy(file, many)
    must([GRISTMILL, "run"], many)
    ways = ([GRISTMILL, "run"], [GRISTMILL, "run", "--jobs", "4"])
    turns = [[must(way, many) for way in ways] for _ in range(times)]
    one = statistics.median(turn[0].cpu_seconds for turn in turns)
    ratio = statistics.median(turn[1].cpu_seconds / turn[0].cpu_seconds for turn in turns)
    how = f"`gristmill run`, {STEPS} steps of two others each, all cached, median of {times}"
    yield claim(f"cached re-run of {STEPS} steps, CPU", one, "s", how, goal="<= 1")
    name = f"what jobs add to a cached re-run of {STEPS} steps"
    how = f"CPU with `--jobs 4` over that without, in turns; {how}"
    yield claim(name, ratio, "x", how, goal="<= 1.1")


def pipeline_of(steps: int) -> str:
    """Return a pipeline in which each step takes two earlier ones and calls a helper."""
    lines = ["from gristmill import step", "import helpers", ""]
    for number in range(steps):
        needs = sorted({f"s{number // 2:03}", f"s{number - 1:03}"}) if number else []
        taken = "".join(f"{need}: int, " for need in needs)
        total = " + ".join(["more", *needs])
        lines += ["@step", f"def s{number:03}({taken}more: int = 1) -> int:"]
        lines += [f"    return helpers.shifted({total}) % 1000", ""]
    return "\n".join(lines)


def edit_claims(project: Path, edits: tuple[Edit, ...]) -> Iterator[Claim]:
    """Make the edits one after the other, and count stale results and steps run for nothing."""
    stale, needless = [], []
    for edit in edits:
        before = run(project)[RESULT]["artifact"]
        apply(edit, project)
        steps, truth = run(project), run_fresh(project)
        if truth == before:
            raise RuntimeError(f"the edit of a {edit.kind} changes nothing, so it tests nothing")
        if steps[RESULT]["artifact"] != truth:
            stale.append(edit.kind)
        if steps[UNTOUCHED]["status"] != "cached":
            needless.append(edit.kind)
    kinds = ", ".join(edit.kind for edit in edits)
    how = f"{len(edits)} edits against runs without a cache: {kinds}; wrong: {stale or 'none'}"
    peers = f"peer ZenML, Hamilton, Flyte and Prefect, one edit of a helper function {RECORDED}"
    share = 100 * len(stale) / len(edits)
    yield claim("stale after an edit", share, "%", f"{how}; {peers}", goal="<= 0", peer=100)
    share = 100 * len(needless) / len(edits)
    how = f"a step that the edit does not reach; {len(edits)} edits; wrong: {needless or 'none'}"
    yield claim("re-run for nothing after an edit", share, "%", how, goal="<= 0")


def apply(edit: Edit, project: Path) -> None:
    file = project / edit.file
    text = file.read_text()
    if text.count(edit.old) != 1:
        raise RuntimeError(f"expected {edit.old!r} once in {edit.file}")
    file.write_text(text.replace(edit.old, edit.new))


def run(project: Path) -> dict[str, dict[str, str]]:
    """Run the project; return what is told of each step."""
    told = json.loads(must([GRISTMILL, "--quiet", "run", "--json"], project).stdout)
    return {each["step"]: each for each in told["steps"]}


def run_fresh(project: Path) -> str:
    """Run a copy that never ran before; return the digest of the result."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns(".gristmill", "__pycache__"))
        return run(copy)[RESULT]["artifact"]


if __name__ == "__main__":
    sys.exit(main(measure))
