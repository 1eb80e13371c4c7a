from __future__ import annotations

import subprocess
import sys

import pytest

from gristmill.core.errors import UsageError
from gristmill.engine import Inline, LocalProcesses, open_engine


def test_by_name():
    assert isinstance(open_engine("inline"), Inline)
    with open_engine("local", workers=3) as engine:
        assert isinstance(engine, LocalProcesses)
        assert engine.parallelism == 3


def test_an_engine_is_returned_as_it_is():
    engine = Inline()
    assert open_engine(engine) is engine


@pytest.mark.parametrize("name", ["ray", "spark"])
def test_engines_of_later_versions(name):
    with pytest.raises(UsageError) as error:
        open_engine(name)
    assert str(error.value) == (
        f"the engine {name!r} (gristmill[{name}]) is not available in this version\n"
        '  fix: use engine="local"'
    )


def test_unknown_name():
    with pytest.raises(UsageError, match="unknown engine 'dask'"):
        open_engine("dask")


def test_the_room_loads_little():
    code = (
        "import sys, gristmill.engine;"
        "print([m for m in ('polars', 'numpy', 'multiprocessing') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
