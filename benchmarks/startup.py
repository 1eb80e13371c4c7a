"""What it costs to have Gristmill around: importing it, asking for help, installing the base."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

from claims import RECORDED, ROOT, Claim, claim, main, median_of, must

MIB = 2**20
TFX = "TFX 1.16: 16.5 s to import, 262 packages, 2,963 MiB"
MLFLOW = "MLflow 3.17"
GLUE = "label-studio, great-expectations, mlflow, prefect, evidently, bentoml and dvc in one place"


def measure(quick: bool) -> Iterator[Claim]:
    times = 5 if quick else 25
    yield import_claim(times)
    yield help_claim(times)
    yield dependencies_claim()
    if not quick:
        yield from installed_claims()


def import_claim(times: int) -> Claim:
    code = [sys.executable, "-c", "import gristmill"]
    ours = 1000 * median_of(times, lambda: must(code).cpu_seconds)
    bare = 1000 * median_of(times, lambda: must([sys.executable, "-c", ""]).cpu_seconds)
    how = (
        f"CPU of the whole process, median of {times}; {bare:.0f} ms of it are Python's own; "
        f"peer {MLFLOW} {RECORDED}; {TFX}"
    )
    return claim("`import gristmill`", ours, "ms", how, goal="< 60", peer=2430)


def help_claim(times: int) -> Claim:
    script = Path(sys.executable).parent / "gristmill"
    ours = 1000 * median_of(times, lambda: must([script, "--help"]).cpu_seconds)
    how = f"CPU of the whole process, median of {times}; peer {MLFLOW} {RECORDED}"
    return claim("`gristmill --help`", ours, "ms", how, goal="< 100", peer=4300)


def dependencies_claim() -> Claim:
    direct = [each for each in requires("gristmill") or [] if "extra ==" not in each]
    how = f"direct dependencies of the base; peer {MLFLOW} {RECORDED}"
    return claim("direct dependencies", len(direct), "packages", how, goal="<= 12", peer=20)


def installed_claims() -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        bytes_, packages = install_base(Path(folder))
    how = f"in a fresh environment, beyond pip itself; {TFX}"
    yield claim(
        "base installed", bytes_ / MIB, "MiB", f"{how}; peer {MLFLOW} {RECORDED}",
        goal="< 350", peer=620,
    )  # fmt: skip
    yield claim(
        "packages in all", packages, "packages", f"{how}; peer {MLFLOW} {RECORDED}", peer=87
    )
    yield claim(
        "packages against the tools glued together", packages, "packages",
        f"peer {GLUE}: 1,464 MiB, and two of the seven then fail to import {RECORDED}", peer=322,
    )  # fmt: skip


def install_base(folder: Path) -> tuple[int, int]:
    """Install the base into a fresh environment; return the bytes and packages that it added."""
    must([sys.executable, "-m", "venv", folder])
    before = contents(folder)
    install: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", ROOT]
    constraints = ROOT / "constraints.txt"
    must([*install, "--constraint", constraints] if constraints.exists() else install)
    after = contents(folder)
    return after[0] - before[0], after[1] - before[1]


def contents(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of packages under a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files), len(list(folder.rglob("*.dist-info")))


if __name__ == "__main__":
    sys.exit(main(measure))
