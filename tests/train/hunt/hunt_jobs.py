"""An objective for worker processes: a made-up model whose state is one number a unit."""

from __future__ import annotations

import json
import math
import os
import signal
import time


class Climb:
    """Its value grows by `slope` a unit; settings make it fail, die or take its time at a unit."""

    def __init__(self, settings):
        self.settings = settings
        self.steps = []

    def advance(self):
        at = len(self.steps) + 1
        if at == self.settings.get("raises_at"):
            raise MemoryError("out of memory")
        if at == self.settings.get("dies_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if at == self.settings.get("nan_at"):
            return math.nan
        time.sleep(self.settings.get("seconds", 0.0))
        self.steps.append(self.settings["slope"])
        return sum(self.steps)

    def save(self, folder):
        (folder / "steps.json").write_text(json.dumps(self.steps))

    def load(self, folder):
        self.steps = json.loads((folder / "steps.json").read_text())


SCRIPT = """
import os, signal, sys, threading, time
sys.path.insert(0, {here!r})

def kill_at(journal, lines):
    while not journal.exists() or len(journal.read_bytes().splitlines()) < lines:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":  # workers, which import this again, need none of it
    from functools import partial
    from pathlib import Path
    import hunt_jobs
    from gristmill.train.hunt.halving import halving
    from gristmill.train.hunt.hunt import Hunt
    from gristmill.train.hunt.running import run_trials
    from gristmill.train.space import Space

    space = Space(slope=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], seconds=0.05)
    folder = Path({folder!r})
    if len(sys.argv) > 1:  # to be killed in the middle, however late anybody looks
        where = folder / sys.argv[1], int(sys.argv[2])
        threading.Thread(target=kill_at, args=where, daemon=True).start()
    with Hunt(partial(halving, most=4, eta=2), 6, space, sampler="grid", folder=folder) as hunt:
        run_trials(hunt, hunt_jobs.Climb, folder, workers=2)
"""
