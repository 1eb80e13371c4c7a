"""A few of the kills of `benchmarks/store_kills.py`: nothing half-written, nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_a_killed_pipeline_that_promotes_ends_as_if_nobody_had_killed_it(tmp_path: Path) -> None:
    told = tmp_path / "claims.json"
    command = [sys.executable, BENCHMARKS / "store_kills.py", "--quick", "--json", told]
    subprocess.run(command, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    claims = {each["name"]: each for each in json.loads(told.read_text())["claims"]}
    assert [name for name, each in claims.items() if each["holds"] is False] == []
    assert claims["runs that a kill met"]["ours"] > 0
