"""Promotes the versions of a model in turn, until it is killed: for `serve_soak.py`.

    python serve_promoter.py PROJECT MODEL SECONDS

prints each version once its promotion is on the record.
"""

from __future__ import annotations

import itertools
import sys
import time

from gristmill.store.project import Project
from gristmill.store.registry import Registry


def main() -> None:
    """Promote, say so, wait."""
    folder, model, seconds = sys.argv[1:]
    with Project(folder) as project:
        registry = Registry(project)
        live = registry.live(model)
        known = [each.version for each in registry.versions(model)]
        turns = itertools.cycle(known)
        for version in turns:
            if live is not None and version == live.version:
                live = None
                continue
            registry.decide(model, version, "promote", ["its turn"], author="soak")
            print(version, flush=True)
            time.sleep(float(seconds))


if __name__ == "__main__":
    main()
