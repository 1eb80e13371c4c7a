from __future__ import annotations

import subprocess
import sys

import gristmill.train as train


def test_every_public_name_is_there_and_is_no_module():
    for name in train.__all__:
        value = getattr(train, name)
        assert callable(value), f"{name} is {value!r}"
        assert value.__doc__, name


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, gristmill.train;"
        "print(sorted({'torch', 'numpy', 'polars', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
