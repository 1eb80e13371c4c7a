"""Say where the results of the last run are, and what to try next."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from gristmill.store import Project, RunLog

HERE = Path(__file__).parent
RESULTS = {"report": "the report", "predictions": "predictions", "bundle": "the bundle",
           "corrupted": "the damaged batch", "quarantine": "bad rows and good rows"}  # fmt: skip


def main() -> None:
    """Print the place of each result."""
    here = os.path.relpath(HERE)
    with Project(HERE) as project:
        log = RunLog(project)
        print("\nWhere everything is:")
        for step, name in RESULTS.items():
            done = log.last("pipeline.py", step)
            if done is None or done.output is None:
                continue
            place = project.artifacts.get(done.output)
            if log.artifact(done.output).kind == "file":
                place = next(place.iterdir())
            print(f"  {name:<24}{os.path.relpath(place)}")
    print("\nWhat to try next:")
    if shutil.which("gristmill") is None:
        activate = Path(sys.executable).with_name("activate")
        print(f"  {f'. {os.path.relpath(activate)}':<37}puts gristmill on the PATH of this shell")
    print(f"  cd {here}")
    print("  gristmill lineage predictions        where the predictions came from")
    print("  gristmill lineage labels/5           why row 5 got its label")
    print("  gristmill explain                    what would run, and why")
    print("  edit labelers.py, gristmill run      only what depends on the edit runs again")


if __name__ == "__main__":
    main()
