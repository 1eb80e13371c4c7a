"""A rollback while a server answers: when the version before answers again, and what it costs.

A server follows the registry with its defaults, clients ask it all the time; the newer of two
versions is promoted and, once all answers are its own, taken back with `gristmill rollback`. The
time runs from the start of that command until no answer begun later comes from the newer version.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from claims import Claim, claim, main, must
from serve_soak_setting import TEXTS, small_bundle

if TYPE_CHECKING:
    from gristmill.serve.server.process import ServerProcess

MODEL = "spam"
CLIENTS = 4
PAUSE = 0.02
"""Seconds between two requests of a client: some 150 requests a second in all."""
PATIENCE = 30.0
_PLAN = f"""
[models.{MODEL}]
registry = "{MODEL}"
project = "."
"""


class Traffic:
    """Clients that ask until they are stopped.

    Attributes:
        answers: when a request began, and which bundle answered it (its fingerprint's beginning).
        failures: what other requests met.
    """

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.answers: list[tuple[float, str]] = []
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when the last request is answered."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, bundle: str) -> None:
        """Return when a second's answers all come from a bundle.

        Raises:
            RuntimeError: that took longer than `PATIENCE`.
        """
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience:
            time.sleep(0.1)
            recent = [who for when, who in self.answers[-1000:] if when > time.monotonic() - 1.0]
            if recent and set(recent) == {bundle}:
                return
        raise RuntimeError(f"{bundle} does not answer after {PATIENCE} s; {self.failures[:3]}")

    def _ask(self) -> None:
        from gristmill.core.errors import GristmillError

        while not self._over.wait(PAUSE):
            began = time.monotonic()
            try:
                (found,) = self.server.client.predict([{"text": TEXTS[0]}])
            except (GristmillError, OSError) as error:
                self.failures.append(str(error))
            else:
                self.answers.append((began, found.id[1:9]))


def measure(quick: bool) -> Iterator[Claim]:
    """Promote and take back, again and again."""
    from gristmill.serve.server.process import ServerProcess
    from gristmill.serve.server.settings import Settings
    from gristmill.store.project import Project
    from gristmill.store.registry import Registry
    from gristmill.store.runs import RunLog

    rounds = 3 if quick else 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        older, newer = (small_bundle(folder / each, seed) for seed, each in enumerate("ab"))
        with Project(folder) as project:
            registry = Registry(project)
            for bundle in (older, newer):
                registry.register(MODEL, RunLog(project).keep(bundle).digest)
            registry.decide(MODEL, 1, "promote", ["the first"], author="benchmark")
            (folder / "serving.toml").write_text(_PLAN)
            server = ServerProcess.start(folder / "serving.toml", Settings(log_level="error"))
            traffic = Traffic(server)
            until, commands = [], []
            try:
                for _ in range(rounds):
                    registry.decide(MODEL, 2, "promote", ["its turn"], author="benchmark")
                    traffic.wait_for(newer.fingerprint[:8])
                    began = time.monotonic()
                    spent = must([sys.executable, "-m", "gristmill", "rollback", MODEL], folder)
                    commands.append(spent.wall_seconds)
                    traffic.wait_for(older.fingerprint[:8])
                    until.append(last_answer(traffic, newer.fingerprint[:8], began) - began)
            finally:
                traffic.stop()
                server.stop()
    how = f"{rounds} rollbacks, {CLIENTS} clients, {len(traffic.answers):,} requests"
    yield claim(
        "rollback while serving, median", statistics.median(until), "s",
        f"{how}; from the command's start to the last request the newer version answers",
        goal="<= 1",
    )  # fmt: skip
    yield claim("rollback while serving, longest", max(until), "s", how, goal="<= 1")
    yield claim("rollback, the command alone", statistics.median(commands), "s", f"{how}; wall")
    yield claim("requests that failed", len(traffic.failures), "requests", how, goal="<= 0")


def last_answer(traffic: Traffic, bundle: str, began: float) -> float:
    """Return when the last request that a bundle answered began; `began` if none since then."""
    return max([began, *(when for when, who in traffic.answers if who == bundle)])


if __name__ == "__main__":
    raise SystemExit(main(measure))
