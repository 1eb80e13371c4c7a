"""The peers of the label model: their own environment, their answers, and what was recorded."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from gristmill.core.atomic import write_atomic
from label_scores import Probs
from label_sets import Task

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "label_peers"
HOME = HERE / ".peers"
"""Environment and remembered answers; in no repository: it holds a `.gitignore` of its own."""
_LONGEST_SECONDS = 900
_SEEDS = 3
_ASKING = 1
"""Raise it when `label_peers/answers.py` asks otherwise: remembered answers then count no more."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to ask a peer.

    Attributes:
        name: as shown.
        run: its function in `label_peers/answers.py`.
        package: what to install.
        balance: whether it is told the class balance.
    """

    name: str
    run: str
    package: str
    balance: bool = False


PEERS = (
    Peer("Snorkel", "snorkel", "snorkel"),
    Peer("Snorkel, class balance*", "snorkel", "snorkel", balance=True),
    Peer("FlyingSquid", "flyingsquid", "flyingsquid"),
    Peer("skweak naive Bayes", "skweak", "skweak"),
    Peer("HyperLM", "hyperlm", "hyperlm"),
    Peer("crowd-kit Dawid-Skene", "crowdkit", "crowd-kit"),
)


class Recorded(msgspec.Struct, frozen=True):
    """Figures measured earlier: protocol -> set -> peer -> score in percent."""

    versions: dict[str, str]
    scores: dict[str, dict[str, dict[str, float]]]

    @classmethod
    def read(cls) -> Recorded:
        return msgspec.json.decode((SCRIPTS / "recorded.json").read_bytes(), type=cls)


class Rivals:
    """Asks peers in an environment of their own, one process each, and remembers their answers.

    Args:
        python: interpreter of that environment; None if there is none.
        run: whether a peer may be run, or only remembered answers count.
    """

    def __init__(self, python: Path | None, *, run: bool = True) -> None:
        self.python = python
        self.run = run
        self.troubles: list[str] = []

    @cached_property
    def versions(self) -> dict[str, str]:
        """Version of each package that is installed there."""
        if self.python is None:
            return {}
        code = (
            "import importlib.metadata as m, json; "
            "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
        )
        return dict(json.loads(_run([self.python, "-c", code]).stdout))

    def answers(self, peer: Peer, task: Task) -> list[Probs] | None:
        """Return probabilities float64[n, k] for each seed; None where the peer has none."""
        if peer.package not in self.versions:
            return None
        job: dict[str, object] = {"fit": task.fit, "score": task.score, "classes": task.classes}
        job["seeds"] = np.arange(_SEEDS if peer.run == "snorkel" else 1)
        if peer.balance:
            job["balance"] = task.balance
        file = HOME / "answers" / f"{self._key(peer, job)}.npz"
        if not file.exists() and (not self.run or not self._ask(peer, task.name, job, file)):
            return None
        with np.load(file) as stored:
            return list(stored["probs"].astype(np.float64))

    def _key(self, peer: Peer, job: dict[str, object]) -> str:
        versions = [self.versions.get(name) for name in (peer.package, "torch", "numpy")]
        key = hashlib.sha256(json.dumps([_ASKING, peer.run, versions]).encode())
        for name, value in sorted(job.items()):
            array = np.ascontiguousarray(value)
            key.update(f"{name} {array.dtype} {array.shape}".encode())
            key.update(array.tobytes())
        return key.hexdigest()[:32]

    def _ask(self, peer: Peer, name: str, job: dict[str, object], file: Path) -> bool:
        print(f"asking {peer.name} about {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            question, answer = Path(folder) / "job.npz", Path(folder) / "answers.npz"
            np.savez(question, **job)  # type: ignore[arg-type]
            try:
                done = _run([self.python, SCRIPTS / "answers.py", peer.run, question, answer])
            except subprocess.TimeoutExpired:
                self.troubles.append(f"{peer.name}, {name}: over {_LONGEST_SECONDS} s, stopped")
                return False
            if done.returncode or not answer.exists():
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                self.troubles.append(f"{peer.name}, {name}: {last}")
                return False
            _make_home()
            write_atomic(file, answer.read_bytes())
        return True


def peers_python(given: str | None, *, make: bool = True) -> Path | None:
    """Return the interpreter of the peers' environment; None where there is none.

    Args:
        given: its path, "none", or None for what the variable LABEL_PEERS says, or else the
            environment in `.peers`.
        make: whether to set that one up if it is not there.
    """
    given = given or os.environ.get("LABEL_PEERS")
    if given == "none":
        return None
    if given:
        return Path(given)
    python = HOME / "venv" / "bin" / "python"
    ready = HOME / "venv" / "ready"
    wanted = (SCRIPTS / "requirements.txt").read_text(encoding="utf-8")
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return python
    if not make:
        return None
    print(f"setting up the peers' environment in {HOME / 'venv'}", file=sys.stderr)
    _make_home()
    venv.create(HOME / "venv", clear=True, with_pip=True)
    _install(python)
    ready.write_text(wanted, encoding="utf-8")
    return python


def _make_home() -> None:
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n", encoding="utf-8")


def _install(python: Path) -> None:
    """Install all peers; where that fails one after the other, so that one does not cost all."""
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    file = SCRIPTS / "requirements.txt"
    if _run([*pip, "--requirement", file], longest=None).returncode == 0:
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            done = _run([*pip, "--constraint", file, line], longest=None)
            if done.returncode:
                print(f"{line} does not install here", file=sys.stderr)


def _run(
    arguments: list[str | Path | None], longest: float | None = _LONGEST_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a command with one thread: the peers' small matrices are slower with more."""
    return subprocess.run(
        [str(each) for each in arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=longest,
    )
