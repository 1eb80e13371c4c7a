"""The recipe of what a step makes, from its key and the steps before it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from gristmill.pipeline.environment import git_commit
from gristmill.pipeline.keys import StepKey
from gristmill.store.lineage import ancestors
from gristmill.store.recipe import Recipe
from gristmill.store.runs import RunLog


def recipe_of(key: StepKey, pipeline: str, log: RunLog) -> Recipe:
    """Return how the result of a step is made again.

    Args:
        key: the step with its settings and inputs.
        pipeline: name of the pipeline's file.
        log: the record of the project, which knows how the inputs were made.
    """
    torch = sys.modules.get("torch")
    record = key.as_record()
    shown = {
        name: f"what is at {value.name}: {key.setting_prints[name]}"
        if isinstance(value, Path)
        else record["shown"][name]
        for name, value in key.settings.items()
    }
    given = {**_given_before(key, log), key.step.name: record["given"]}
    return Recipe(
        pipeline=pipeline,
        step=key.step.name,
        key=key.digest,
        command=_command(pipeline, key.step.name, given),
        settings=shown,
        inputs=dict(key.inputs),
        packages=key.reach.packages,
        commit=git_commit(log.project.root),
        threads=torch.get_num_threads() if torch is not None else None,
    )


def _given_before(key: StepKey, log: RunLog) -> dict[str, Mapping[str, object]]:
    """Return the settings, other than defaults, of all steps whose results went into the inputs."""
    found: dict[str, Mapping[str, object]] = {}
    for digest in key.inputs.values():
        for _, one in ancestors(log, digest).walk():
            if one.execution is not None and one.execution.reach.get("given"):
                found[one.execution.step] = one.execution.reach["given"]
    return dict(sorted(found.items()))


def _command(pipeline: str, step: str, given: Mapping[str, Mapping[str, object]]) -> str:
    words = ["gristmill", "run", pipeline, "--step", step]
    for name, values in given.items():
        for setting, value in sorted(values.items()):
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--set", f"{name}.{setting}={text}"]
    return shlex.join(words)
