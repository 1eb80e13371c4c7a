from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest

from gristmill import validate
from gristmill.validate import Schema, profile


@pytest.mark.parametrize("name", validate.__all__)
def test_every_public_name_is_a_thing_with_a_docstring(name: str) -> None:
    # A submodule of the same name would take a function's place once it is imported.
    value = getattr(validate, name)
    assert callable(value)
    assert value.__doc__


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = "import sys, gristmill.validate; print('polars' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_columns_of_other_types_are_profiled_and_checked_for_presence_only() -> None:
    frame = pl.DataFrame(
        {
            "tags": [["a"], ["b", "c"], None] * 40,
            "raw": [b"\xff", b"x", b""] * 40,
            "sum": pl.Series([1, 2, None] * 40).cast(pl.Decimal(10, 2)),
            "size": pl.Series(["s", "m", "l"] * 40, dtype=pl.Categorical),
        }
    )
    stats = profile(frame)
    assert stats.features["tags"].distinct_count.value == 3  # of the lists' values
    schema = Schema.infer(stats)
    kinds = {name: spec.type for name, spec in schema.features.items()}
    assert kinds == {"tags": "string", "raw": "bytes", "sum": "float", "size": "string"}
    assert schema.check(frame, baseline=stats).findings == []
    assert [field["name"] for field in schema.signature_fields()] == ["sum", "size"]
