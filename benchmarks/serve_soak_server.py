"""A server of several models under fire: the second part of `serve_soak.py`.

A route picks between a bundle and a model of a registry, each in a replica process, and learns from
feedback. Replicas, the server and the process that promotes are killed; what is promoted is swapped
in while requests go on. Clients keep the name of every prediction, send feedback to some, and send
it again when the server died before it answered.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.serve.journal.segments import records_of, segment_files
from gristmill.serve.refusal import Refusal
from gristmill.serve.selection.log_records import Joined, decode
from gristmill.serve.server.process import ServerProcess
from gristmill.serve.server.settings import Settings
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from serve_soak_processes import alive, group_of, parent_of, wait_for
from serve_soak_setting import TEXTS, prepare

CLIENTS = 8
ASKED_EACH = 60.0
"""Requests a second that a client sends at most."""
FEEDBACK_SHARE = 0.5
RESTART_SECONDS, PROMOTER_SECONDS = 20.0, 7.0


class ServerSoak:
    """The server, those who ask it, and those who trouble it."""

    def __init__(self, seconds: float, folder: Path, seed: int = 0) -> None:
        self.seconds, self.folder, self.chance = seconds, folder, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.names: set[str] = set()
        self.told: set[str] = set()
        self.promoted: list[int] = []
        self.expected = prepare(folder)
        self.promoter = self.promote()
        self.server = self.start()

    def start(self) -> ServerProcess:
        settings = Settings(log_level="error")
        return ServerProcess.start(self.folder / "serving.toml", settings, timeout=300.0)

    def run(self) -> None:
        self.end = time.monotonic() + self.seconds
        threads = [
            threading.Thread(target=self.drive, args=(self.chance.random(),), daemon=True)
            for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        restart = min(RESTART_SECONDS, self.seconds / 3)
        next_restart, next_promoter = time.monotonic() + restart, time.monotonic()
        while time.monotonic() < self.end:
            time.sleep(self.chance.uniform(0.1, 1.0))
            if time.monotonic() > next_restart:
                self.kill_server()
                next_restart = time.monotonic() + restart
            elif time.monotonic() > next_promoter:
                self.kill_promoter()
                self.promoter = self.promote()
                next_promoter = time.monotonic() + PROMOTER_SECONDS
            else:
                self.kill_replica()
        self.kill_promoter()
        for thread in threads:
            thread.join()
        self.check_registry()
        born = group_of(self.server.pid)
        self.note("server's exit code was not 0", self.server.stop() != 0)
        wait_for(lambda: not any(map(alive, born)))
        self.note("orphans", sum(map(alive, born)))
        self.check_log()

    def drive(self, seed: float) -> None:
        chance = random.Random(seed)
        owed: deque[str] = deque()
        again: set[str] = set()
        while time.monotonic() < self.end:
            name = self.predict(chance)
            if name and chance.random() < FEEDBACK_SHARE:
                owed.append(name)
            if len(owed) > 20:
                self.feed(owed, again, chance)
            time.sleep(chance.expovariate(ASKED_EACH))
        patience = time.monotonic() + 120.0
        while owed and time.monotonic() < patience:
            self.feed(owed, again, chance)
        self.note("feedback nobody took", len(owed))

    def predict(self, chance: random.Random) -> str:
        """Ask once; return the prediction's name, if there is an answer."""
        self.note("requests")
        text = chance.choice(TEXTS)
        server = self.server
        try:
            (found,) = server.client.predict([{"text": text}])
        except Refusal as refusal:
            self.note(f"refused: {refusal.status} {refusal.code}")
            return ""
        except (GristmillError, OSError) as error:
            self.note_cut(server, error)
            return ""
        prob = self.expected.get((found.id[1:9], text), -1.0)
        right = abs(found.prob - prob) < 1e-6
        self.note("answered" if right else "answered wrongly")
        with self.lock:
            self.counts["names given twice"] += found.id in self.names
            self.names.add(found.id)
        return found.id

    def feed(self, owed: deque[str], again: set[str], chance: random.Random) -> None:
        """Send feedback to some predictions; what was not answered stays owed."""
        names = [owed.popleft() for _ in range(min(len(owed), 10))]
        pieces = [{"prediction_id": name, "loss": chance.random()} for name in names]
        body = msgspec.json.encode({"feedback": pieces})
        server = self.server
        try:
            answer = msgspec.json.decode(server.client.request("POST", "/v1/feedback", body))
        except (GristmillError, OSError) as error:
            if not isinstance(error, Refusal):
                self.note_cut(server, error, "feedback ")
            owed.extend(names)
            again.update(names)
            time.sleep(0.1)
            return
        for name, result in zip(names, answer["results"], strict=True):
            good = result["status"] == "joined" or (
                result["status"] == "repeated" and name in again
            )
            self.note("feedback taken" if good else f"feedback lost: {result['status']}")
            if good:
                self.told.add(name)

    def note_cut(self, server: ServerProcess, error: Exception, what: str = "") -> None:
        """Count a request without any answer; only a server that died may leave one."""

        def gone() -> bool:
            return server is not self.server or not alive(server.pid)

        # A process that is killed closes its connections a moment before it counts as dead.
        wait_for(gone, 0.5)
        if not gone():
            print(f"{what}failed: {error}", file=sys.stderr)
        self.note(f"{what}cut off by the server's death" if gone() else f"{what}failed")

    def kill_replica(self) -> None:
        pids = [pid for pid in group_of(self.server.pid) if parent_of(pid) != self.server.pid]
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)
                self.note("replicas killed")

    def kill_server(self) -> None:
        born = group_of(self.server.pid)
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.stop()
        self.note("servers killed")
        wait_for(lambda: not any(map(alive, born)))
        self.note("orphans", sum(map(alive, born)))
        self.server = self.start()

    def promote(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("serve_promoter.py")
        words = [sys.executable, str(script), str(self.folder / "project"), "spam", "0.7"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def kill_promoter(self) -> None:
        self.promoter.kill()
        said, _ = self.promoter.communicate()
        self.promoted += [0, *map(int, said.split())]
        self.note("promoters killed")

    def check_registry(self) -> None:
        """Look whether every promotion that was said is on the record, and the last one serves."""
        with Project(self.folder / "project") as project:
            registry = Registry(project)
            decided = [each.version for each in registry.history("spam")]
            live = registry.live("spam")
        self.note("promotions", sum(version > 0 for version in self.promoted))
        self.note("promotions lost", lost(self.promoted, decided))
        wanted = f'version="v{live.version if live else 0}"'

        def follows() -> bool:
            lines = self.server.client.request("GET", "/metrics").decode().splitlines()
            return any(
                line.startswith("gristmill_route_version_info") and wanted in line for line in lines
            )

        wait_for(follows, 20.0)
        self.note("live version does not answer", not follows())

    def check_log(self) -> None:
        """Look whether the log holds each feedback that was taken, once."""
        folder = self.folder / "kept" / "routes" / "chosen"
        records = [
            decode(payload, folder)
            for file in segment_files(folder)
            for payload in records_of(file)
        ]
        joined = Counter(
            (record.number, record.row)
            for record in records
            if isinstance(record, Joined) and record.number >= 0
        )
        wanted = {(int(name[10:20], 16), int(name.rpartition("-")[2])) for name in self.told}
        self.note("feedback on the record", len(joined))
        self.note("feedback lost: not on the record", len(wanted - set(joined)))
        self.note("feedback on the record twice", sum(joined.values()) - len(joined))

    def note(self, what: str, count: int = 1) -> None:
        with self.lock:
            self.counts[what] += count


def lost(said: list[int], decided: list[int]) -> int:
    """Return how many promotions that were said are not on the record, in their order.

    A promoter that was killed (0 in `said`) may have made one more than it said.
    """
    place = missing = 0
    for version in said:
        if version == 0:
            continue
        try:
            place = decided.index(version, place) + 1
        except ValueError:
            missing += 1
    return missing
