from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import gristmill.data


@pytest.mark.parametrize("name", gristmill.data.__all__)
def test_every_public_name_loads_whatever_was_imported_before(name):
    for home in set(gristmill.data._EXPORTS.values()):
        importlib.import_module(f"gristmill.data.{home}")
    value = getattr(gristmill.data, name)
    assert not isinstance(value, type(sys))
    assert value is not None


def test_importing_the_room_loads_no_heavy_library():
    code = "import sys, gristmill.data; print([m for m in ('polars', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
