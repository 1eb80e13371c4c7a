"""After any edit, a run gives what the code as it is now gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import registry
from gristmill import step
from helpers import *
from helpers import Scaled as Base, halved as cut
from parts.deep import far

HERE = Path(__file__).parent
TABLE = {"up": doubled, "down": cut}
shift = partial(moved, by=1)

@step
def numbers(path=HERE / "numbers.txt"):
    return [int(text) for text in path.read_text().split()]

@step
def helper_of_helper(numbers):
    return outer(sum(numbers))

@step
def constant(numbers):
    return [LIMIT, f"v1 {max(numbers)}"]

@step
def default_argument(numbers):
    return shifted(max(numbers))

@step
def decorated(numbers):
    return plain(len(numbers))

@step
def class_attribute(numbers):
    return Base.factor * len(numbers)

@step
def base_method(numbers):
    class Here(Base):
        pass
    return Here().go(len(numbers))

@step
def closure(numbers):
    return added(len(numbers))

@step
def table_of_functions(numbers):
    return TABLE["up"](len(numbers)) + TABLE["down"](100)

@step
def partials(numbers):
    return shift(len(numbers))

@step
def relative(numbers):
    return far(len(numbers))

@step
def late(numbers):
    from parts import late
    return late.value()

@step
def registered(numbers):
    return registry.KNOWN["one"]()

@step
def order_of_a_dict(numbers):
    return [[name, weight] for name, weight in WEIGHTS.items()]

@step
def default_container(numbers):
    return described()

@step
def point(numbers) -> "Point":
    return Point(len(numbers), 2)

@step
def of_an_input(point):
    return point.size()

@step
def of_inputs(point, numbers):
    return {"one": [point], "two": numbers}

@step
def of_a_member(of_inputs):
    return of_inputs["one"][0].size()
"""
HELPERS = """
from dataclasses import dataclass, field

LIMIT = 3
WEIGHTS = {"a": 1, "b": 2}

def described(of=(1, 2)): return repr(of)
def outer(x): return inner(x) + 1
def inner(x): return x * 2
def shifted(x, by=5): return x + by
def moved(x, by=0): return x + by
def doubled(x): return x * 2
def halved(x): return x // 2

def twice(function):
    def run(x): return function(function(x)) + 0
    return run

@twice
def plain(x): return x + 7

class Root:
    def go(self, x): return x + 11

class Scaled(Root):
    factor = 4

def adder(y):
    return lambda x: x + y

added = adder(6)

def fresh(): return [9]

@dataclass
class Point:
    x: int
    y: int
    tags: list = field(default_factory=fresh)
    def size(self): return self.x * self.y + 0
"""
FILES = {
    "pipeline.py": PIPELINE,
    "helpers.py": HELPERS,
    "registry.py": "KNOWN = {}\ndef one(): return 1\nKNOWN['one'] = one\n",
    "parts/__init__.py": "",
    "parts/deep.py": "from .low import low\ndef far(x): return low(x)\n",
    "parts/low.py": "def low(x): return x - 1\n",
    "parts/late.py": "def value(): return 'late'\n",
    "numbers.txt": "1 2 3 4",
}
EDITS = [
    ("helpers.py", "x * 2\ndef shifted", "x * 3\ndef shifted", "helper_of_helper"),
    ("helpers.py", "LIMIT = 3", "LIMIT = 4", "constant"),
    ("pipeline.py", 'f"v1 ', 'f"v2 ', "constant"),
    ("helpers.py", "by=5", "by=6", "default_argument"),
    ("helpers.py", "function(function(x)) + 0", "function(function(x)) + 1", "decorated"),
    ("helpers.py", "factor = 4", "factor = 5", "class_attribute"),
    ("helpers.py", "x + 11", "x + 12", "base_method"),
    ("helpers.py", "adder(6)", "adder(7)", "closure"),
    ("pipeline.py", '"up": doubled, "down": cut', '"up": cut, "down": doubled',
     "table_of_functions"),
    ("pipeline.py", "moved, by=1", "moved, by=2", "partials"),
    ("parts/low.py", "x - 1", "x - 2", "relative"),
    ("parts/late.py", "'late'", "'later'", "late"),
    ("registry.py", "return 1", "return 2", "registered"),
    ("helpers.py", "self.y + 0", "self.y + 1", "of_an_input"),
    ("helpers.py", "self.y + 1", "self.y + 2", "of_a_member"),
    ("helpers.py", "return [9]", "return [10]", "point"),
    ("helpers.py", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "order_of_a_dict"),
    ("helpers.py", "of=(1, 2)", "of=[1, 2]", "default_container"),
    ("numbers.txt", "1 2 3 4", "1 2 3 5", "numbers"),
]  # fmt: skip
NOTHING = [
    ("helpers.py", "def outer(x):", "# why\n\ndef outer(x):"),
    ("helpers.py", "class Root:\n", 'class Root:\n    """What it is."""\n'),
    ("pipeline.py", "def constant(numbers):", "def constant(numbers: list[int]) -> list[object]:"),
]


@pytest.fixture
def project(user: Any) -> Any:
    for name, text in FILES.items():
        (user.root / name).parent.mkdir(exist_ok=True)
        (user.root / name).write_text(text)
    return user


def edit(root: Path, file: str, old: str, new: str) -> None:
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))


def as_written_now(project: Any) -> dict[str, object]:
    """Call every step's function on what the steps before it give, without any store."""
    pipeline, values = project.load(), {}
    for step in pipeline.steps:
        values[step.name] = step(**{need: values[need] for need in step.needs})
    return values


def test_after_each_edit_the_results_are_those_of_the_code_as_it_is(
    project: Any, reasons: Any
) -> None:
    project.run()
    for file, old, new, step in EDITS:
        before = project.run()
        assert reasons(before) == {}, f"before {new!r}"
        old_value = repr(before.load(step))
        edit(project.root, file, old, new)
        after = project.run()
        expected = as_written_now(project)
        found = {name: after.load(name) for name in after.executions}
        assert repr(found) == repr(expected), f"after {new!r}"
        assert repr(found[step]) != old_value, f"{new!r} changed nothing"


@pytest.mark.parametrize(("file", "old", "new"), NOTHING)
def test_comments_docstrings_and_hints_run_nothing(
    project: Any, reasons: Any, file: str, old: str, new: str
) -> None:
    project.run()
    edit(project.root, file, old, new)
    assert reasons(project.run()) == {}


def test_another_version_of_a_package_runs_what_uses_it(
    user: Any, reasons: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gristmill.core.packages import package_version

    site = user.root.parent / "site-packages"
    (site / "toolkit").mkdir(parents=True)
    (site / "toolkit" / "__init__.py").write_text("def answer(): return 42\n")
    monkeypatch.syspath_prepend(str(site))
    user.write(
        pipeline="import toolkit\nfrom gristmill import step\n"
        "@step\ndef asks():\n    return toolkit.answer()\n"
        "@step\ndef alone():\n    return 1\n"
    )
    told = []
    for version in ("1.0", "1.1"):
        for old in site.glob("*.dist-info"):
            old.rmdir()
        (site / f"toolkit-{version}.dist-info").mkdir()
        package_version.cache_clear()
        told.append(reasons(user.run()))
    package_version.cache_clear()
    sys.modules.pop("toolkit", None)
    assert told == [
        {"asks": "first run", "alone": "first run"},
        {"asks": "package toolkit 1.0 -> 1.1"},
    ]
