import subprocess
import sys

import pytest

from gristmill import serve


@pytest.mark.parametrize("name", serve.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(serve, name).__doc__


def test_importing_the_room_loads_nothing_heavy():
    heavy = "{'torch', 'polars', 'uvicorn', 'orjson', 'asyncio'}"
    code = f"import sys, gristmill.serve; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
