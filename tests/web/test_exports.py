from __future__ import annotations

import subprocess
import sys

import pytest

from gristmill import web
from gristmill.web import charts, sections


@pytest.mark.parametrize("room", [web, charts, sections])
def test_every_public_name_is_there(room: object) -> None:
    names = room.__all__  # type: ignore[attr-defined]
    assert names == sorted(names)
    assert all(getattr(room, name) is not None for name in names)


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "{'jinja2', 'markupsafe', 'polars', 'numpy', 'torch'}"
    code = f"import sys, gristmill.web; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
