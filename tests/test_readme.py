"""The README's Python blocks run as they stand, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_lead_to_files(readme: str) -> None:
    targets = LINK.findall(readme)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.slow
def test_blocks_run_when_pasted_in_order(readme: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall(readme)
    assert len(blocks) == 5
    script = tmp_path / "readme.py"
    script.write_text("\n\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "row 4: spam (from model" in done.stdout
    assert "missing_values text: 40 of 400" in done.stdout
    assert "'A sack of grain': 3" in done.stdout
    assert "setting limit: 3 -> 2" in done.stdout
    answers = pl.read_parquet(tmp_path / "predictions.parquet")
    assert answers.height == 360
    assert answers.null_count()["label"].item() == 0
