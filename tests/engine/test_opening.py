from __future__ import annotations

import subprocess
import sys

import pytest

from gristmill.core.errors import UsageError
from gristmill.engine import Inline, LocalProcesses, open_engine
from gristmill.engine.opening import EngineName, parse_engine


def test_by_name():
    assert isinstance(open_engine("inline"), Inline)
    with open_engine("local", workers=3) as engine:
        assert isinstance(engine, LocalProcesses)
        assert engine.parallelism == 3


def test_an_engine_is_returned_as_it_is():
    engine = Inline()
    assert open_engine(engine) is engine


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("local", EngineName("local")),
        ("local:4", EngineName("local", workers=4)),
        ("inline", EngineName("inline")),
        ("ray", EngineName("ray")),
        ("ray://head:10001", EngineName("ray", "ray://head:10001")),
        ("ray:head:6379", EngineName("ray", "head:6379")),
        ("ray:[fe80::1]:6379", EngineName("ray", "[fe80::1]:6379")),
        ("spark", EngineName("spark")),
        ("spark://head:7077", EngineName("spark", "spark://head:7077")),
        ("spark:yarn", EngineName("spark", "yarn")),
        ("spark:k8s://https://head:443", EngineName("spark", "k8s://https://head:443")),
    ],
)
def test_names(text, name):
    assert parse_engine(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dask", "unknown engine 'dask'"),
        ("", "unknown engine ''"),
        ("local:", "cannot read the engine 'local:'"),
        ("local:many", "cannot read the engine 'local:many'"),
        ("local://4", "cannot read the engine 'local://4'"),
        ("inline:2", "cannot read the engine 'inline:2'"),
        ("ray:", "cannot read the engine 'ray:'"),
        ("ray://", "cannot read the engine 'ray://'"),
        ("ray://head", "expected a host and a port, found 'ray://head'"),
        ("ray:head", "expected a host and a port, found 'ray:head'"),
        ("spark://head:port", "expected a host and a port, found 'spark://head:port'"),
        ("spark://head:70000", "expected a host and a port, found 'spark://head:70000'"),
        ("ray:head:0", "expected a host and a port, found 'ray:head:0'"),
    ],
)
def test_names_that_mean_nothing(text, message):
    with pytest.raises(UsageError) as error:
        open_engine(text)
    assert error.value.message == message
    assert "'ray://host:10001'" in str(error.value.fix)


def test_how_many_workers():
    assert open_engine("local:3").parallelism == 3
    assert open_engine("local:3", workers=2).parallelism == 2
    with pytest.raises(UsageError, match="expected at least 1 worker, found 0"):
        open_engine("local:0")
    with pytest.raises(UsageError, match="expected at most 1,024 worker processes, found 5,000"):
        open_engine("local:5000")


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("spark://h:7077", "pyspark")])
def test_a_package_that_is_not_installed(monkeypatch, name, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError) as error:
        open_engine(name)
    kind = name.partition(":")[0]
    assert str(error.value) == (
        f"the engine {kind!r} needs {package}, which is not installed\n"
        f"  fix: pip install 'gristmill[{kind}]', or use 'local'"
    )


def test_the_room_loads_little():
    code = (
        "import sys, gristmill.engine;"
        "print([m for m in ('polars', 'numpy', 'multiprocessing') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
