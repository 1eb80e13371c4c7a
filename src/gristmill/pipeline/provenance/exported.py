"""What an exported run holds, and the words that go with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.core.moments import format_moment
from gristmill.core.quantities import format_bytes, format_count
from gristmill.pipeline.provenance.enclosing import PATCH, REQUIREMENTS

if TYPE_CHECKING:
    from gristmill.store.runs import RunRecord

PAGE = "index.html"
PROVENANCE = "provenance"
"""The folder with what is to be read: packages, patch, logs, the run as JSON."""
GIVEN = f"{PROVENANCE}/settings.json"


@dataclass
class Exported:
    """What an export holds.

    Attributes:
        place: the folder, or the zip file.
        run: the run's id.
        pipeline: the pipeline's file in it; empty where the run kept no source.
        artifacts: how many.
        bytes_: of artifacts and data.
        data: paths that settings name -> where they are in the folder.
        missing: what did not come along -> why.
        given: step -> setting -> value, of settings that were not the defaults.
        told: files in `provenance/` that say where the run ran.
    """

    place: Path
    run: str
    pipeline: str = ""
    artifacts: int = 0
    bytes_: int = 0
    data: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    given: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """What runs the pipeline again, in the exported folder."""
        words = ["gristmill", "run"]
        words += [self.pipeline] if self.pipeline != "pipeline.py" else []
        words += ["--params", GIVEN] if self.given else []
        return shlex.join(words)


def readme(project: str, record: RunRecord, exported: Exported) -> str:
    """Return the text of the file that a colleague reads first."""
    told = record.environment
    parts = [
        f"# Run {record.id} of {project}",
        f"`{record.pipeline}`, {record.status}, {format_moment(record.started)}. Python "
        f"{told.get('python')}, Gristmill {told.get('gristmill')}, commit "
        f"{told.get('commit') or 'none'}.",
        f"Open `{PAGE}` in a browser: steps, why they ran, figures, gates. It needs no network.",
        "This folder is a Gristmill project:",
        _commands(exported),
    ]
    if exported.pipeline:
        parts.append(
            "`run` finds every step up to date where Python and packages are the same, and runs "
            "what you edit. With `--force STEP` a step runs all the same: what is deterministic "
            "gives the same digest again, which `gristmill diff` shows."
        )
    parts.append(_contents(exported))
    if exported.missing:
        listed = [f"- `{name}`: {why}" for name, why in exported.missing.items()]
        parts.append("\n".join(["Not in here:", "", *listed]))
    return "\n\n".join(parts) + "\n"


def _commands(exported: Exported) -> str:
    lines = ["gristmill runs last", "gristmill logs last", "gristmill lineage STEP"]
    if REQUIREMENTS in exported.told:
        lines.insert(0, f"pip install -r {PROVENANCE}/{REQUIREMENTS}")
    if exported.pipeline:
        lines.append(exported.command)
    return "\n".join(["```console", *(f"$ {line}" for line in lines), "```"])


def _contents(exported: Exported) -> str:
    size = format_bytes(exported.bytes_)
    rows = {f"{format_count(exported.artifacts)} results and logs, {size}": "`.gristmill/`"}
    if exported.pipeline:
        rows["the code that the run could reach"] = f"`{exported.pipeline}` and beside it"
    if exported.data:
        rows["files that settings name"] = ", ".join(f"`{name}`" for name in exported.data.values())
    if PATCH in exported.told:
        rows["what of the code was not committed"] = f"`{PROVENANCE}/{PATCH}`"
    rows["packages, logs as text, the run as JSON"] = f"`{PROVENANCE}/`"
    table = [f"| {what} | {where} |" for what, where in rows.items()]
    return "\n".join(["| what | where |", "|---|---|", *table])
