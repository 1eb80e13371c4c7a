"""What the fingerprint of code sees, and what it admits not to see."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.code import CodeReach, fingerprint_callable, reach


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Write modules into a folder of the user's and import the last one, afresh each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written: set[str] = set()

    def go(**sources: str) -> ModuleType:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
            written.add(name)
        for name in written:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return importlib.import_module(list(sources)[-1])

    yield go
    for name in written:
        sys.modules.pop(name, None)


MAIN = "import helpers\nfrom helpers import scale\ndef f(x):\n    return helpers.clean(scale(x))\n"
HELPERS = """
FACTOR = 2
UNUSED = 7
def clean(x): return inner(x)
def inner(x): return x + 1
def scale(x): return x * FACTOR
def unrelated(x): return x - UNUSED
"""


def changed_parts(before: CodeReach, after: CodeReach) -> list[str]:
    return after.changes_since(before.parts, before.packages)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("return x + 1", "return x + 2", "helpers.inner changed"),
        ("FACTOR = 2", "FACTOR = 3", "helpers.FACTOR changed"),
        ("return inner(x)", "return inner(x) * 1", "helpers.clean changed"),
        ("return x * FACTOR", "return FACTOR * x", "helpers.scale changed"),
    ],
)
def test_an_edit_of_anything_reachable_changes_the_fingerprint_and_is_named(
    write: Callable[..., ModuleType], old: str, new: str, named: str
) -> None:
    before = reach(write(helpers=HELPERS, main_a=MAIN).f)
    after = reach(write(helpers=HELPERS.replace(old, new), main_a=MAIN).f)
    assert before.digest != after.digest
    assert changed_parts(before, after) == [named]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UNUSED = 7", "UNUSED = 8"),
        ("return x - UNUSED", "return x + UNUSED"),
        ("def inner(x): return x + 1", "# why\ndef inner(x):\n    # a comment\n    return x + 1"),
        ("def inner(x): return x + 1", 'def inner(x):\n    """A docstring."""\n    return x + 1'),
    ],
)
def test_an_edit_that_cannot_matter_leaves_the_fingerprint(
    write: Callable[..., ModuleType], old: str, new: str
) -> None:
    before = fingerprint_callable(write(helpers=HELPERS, main_a=MAIN).f)
    after = fingerprint_callable(write(helpers=HELPERS.replace(old, new), main_a=MAIN).f)
    assert before == after


def test_two_docstrings_differ_in_nothing_but_a_used_constant_does(
    write: Callable[..., ModuleType],
) -> None:
    one = fingerprint_callable(write(a1='def f():\n    """One."""\n    return 1\n').f)
    two = fingerprint_callable(write(a1='def f():\n    """Two."""\n    return 1\n').f)
    three = fingerprint_callable(write(a1='def f():\n    return "One."\n').f)
    four = fingerprint_callable(write(a1='def f():\n    return "Two."\n').f)
    assert one == two
    assert three != four


CASES = {
    "a method of a class that is used": (
        "class C:\n    def go(self): return {}\ndef f(): return C().go()\n"
    ),
    "a base class": "class B:\n    x = {}\nclass C(B): pass\ndef f(): return C().x\n",
    "a property": ("class C:\n    @property\n    def x(self): return {}\ndef f(): return C().x\n"),
    "a dataclass default": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    x: int = {}\n"
        "def f(): return C().x\n"
    ),
    "a default argument": "def f(x={}): return x\n",
    "a keyword default": "def f(*, x={}): return x\n",
    "a closure": "def make():\n    y = {}\n    def f(): return y\n    return f\nf = make()\n",
    "a function in a closure": (
        "def make(g):\n    def f(): return g()\n    return f\ndef g(): return {}\nf = make(g)\n"
    ),
    "a decorated function": (
        "import functools\ndef deco(g):\n    @functools.wraps(g)\n    def inner(): return g()\n"
        "    return inner\n@deco\ndef f(): return {}\n"
    ),
    "the decorator": (
        "import functools\ndef deco(g):\n    @functools.wraps(g)\n    def inner(): return g(), {}\n"
        "    return inner\n@deco\ndef f(): return 1\n"
    ),
    "one of two closures of one factory": (
        "def make(y):\n    def g(): return y\n    return g\na, b = make({}), make(5)\n"
        "def f(): return a() + b()\n"
    ),
    "a partial": (
        "import functools\ndef g(a, b): return a + b\nh = functools.partial(g, {})\n"
        "def f(): return h(1)\n"
    ),
    "a function in a list": "def g(): return {}\nLIST = [g]\ndef f(): return LIST[0]()\n",
    "a function in a dict": "def g(): return {}\nMAP = dict(a=g)\ndef f(): return MAP['a']()\n",
    "a constant in a dict": "MAP = dict(a={})\ndef f(): return MAP\n",
    "a regular expression": "import re\nP = re.compile('a{}')\ndef f(): return P.search('x')\n",
    "a lambda": "g = lambda x: x + {}\ndef f(): return g(1)\n",
    "a nested function": "def f():\n    def g(): return {}\n    return g()\n",
    "a comprehension": "N = {}\ndef f(): return [x for x in range(3) if x == N]\n",
    "an instance of a user's class": (
        "class C:\n    def __init__(self, x): self.x = x\nc = C({})\ndef f(): return c.x\n"
    ),
    "a class in an annotation": (
        "class C:\n    def go(self): return {}\ndef f(c: C): return c.go()\n"
    ),
    "a constant read by getattr with a name": (
        "class C:\n    x = {}\ndef f(): return getattr(C, 'x')\n"
    ),
    "a frozen set": "S = frozenset([1, {}])\ndef f(): return 1 in S\n",
    "an array": "import numpy as np\nA = np.array([1, {}])\ndef f(): return A.sum()\n",
}


@pytest.mark.parametrize("source", CASES.values(), ids=CASES)
def test_every_way_to_reach_a_value_is_followed(
    write: Callable[..., ModuleType], source: str
) -> None:
    first = fingerprint_callable(write(case=source.replace("{}", "1")).f)
    again = fingerprint_callable(write(case=source.replace("{}", "1")).f)
    second = fingerprint_callable(write(case=source.replace("{}", "2")).f)
    assert first == again
    assert first != second


@pytest.mark.parametrize(
    "body",
    [
        "def f():\n    import helpers\n    return helpers.answer()\n",
        "def f():\n    from helpers import answer\n    return answer()\n",
        "def f():\n    from helpers import answer as a\n    return a()\n",
        "import helpers\ndef g(m): return m.answer()\ndef f(): return g(helpers)\n",
        "import helpers as h\ndef f():\n    x = h\n    return x.answer()\n",
    ],
)
def test_imports_inside_bodies_and_modules_handed_around_are_followed(
    write: Callable[..., ModuleType], body: str
) -> None:
    first = fingerprint_callable(write(helpers="def answer(): return 1\n", case=body).f)
    second = fingerprint_callable(write(helpers="def answer(): return 2\n", case=body).f)
    assert first != second


def test_a_package_counts_by_its_version(
    write: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = write(case="import numpy as np\ndef f(): return np.zeros(3)\n")
    before = reach(module.f)
    assert before.packages == {"numpy": sys.modules["numpy"].__version__}
    other = dict(before.packages, numpy="0.1")
    assert before.changes_since(before.parts, other) == [
        f"package numpy 0.1 -> {before.packages['numpy']}"
    ]


def test_the_standard_library_is_no_package(write: Callable[..., ModuleType]) -> None:
    module = write(case="import json\nimport os.path\ndef f(): return json.dumps(os.path.sep)\n")
    assert reach(module.f).packages == {}


@pytest.mark.parametrize(
    ("source", "spot"),
    [
        ("def f(c): return eval(c)\n", "case.py:1: eval()"),
        ("def f(o, n):\n    return getattr(o, n)\n", "case.py:2: getattr() with a computed name"),
        (
            "import importlib\ndef f(n): return importlib.import_module(n)\n",
            "case.py:2: import_module()",
        ),
    ],
)
def test_what_is_decided_at_run_time_is_listed(
    write: Callable[..., ModuleType], source: str, spot: str
) -> None:
    assert reach(write(case=source).f).blind_spots == [spot]


def test_recursion_and_mutual_recursion_end(write: Callable[..., ModuleType]) -> None:
    module = write(case="def f(n): return g(n - 1)\ndef g(n): return f(n)\n")
    assert list(reach(module.f).parts) == ["case.f", "case.g"]


def test_the_same_code_in_another_folder_has_the_same_fingerprint(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "place.py").write_text("def f(x):\n    return [x for x in range(x)]\n")
        spec = importlib.util.spec_from_file_location("place", folder / "place.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        digests.append(fingerprint_callable(module.f))
    assert digests[0] == digests[1]


def test_an_added_and_a_removed_part_are_named() -> None:
    now = CodeReach(parts={"a.f": "1", "a.g": "2"})
    assert now.changes_since({"a.f": "1"}, {}) == ["a.g added"]
    assert now.changes_since({"a.f": "1", "a.g": "2", "a.h": "3"}, {}) == ["a.h removed"]


def test_an_object_with_a_fingerprint_of_its_own_is_named_by_its_own_name(
    write: Callable[..., ModuleType],
) -> None:
    source = (
        "class Rule:\n    name = 'short'\n    def __fingerprint__(self): return 'abc'\n"
        "RULES = [Rule()]\ndef f(): return RULES\n"
    )
    parts = reach(write(case=source).f).parts
    assert parts["Rule short"] == "abc"


def test_constants_that_are_one_object_in_memory_are_filed_one_by_one(
    write: Callable[..., ModuleType],
) -> None:
    source = "A = 1\nC = 2\nB = 1\ndef f(): return A, C, B\n"
    before = reach(write(case=source).f)
    after = reach(write(case=source.replace("B = 1", "B = 2")).f)
    assert changed_parts(before, after) == ["case.B changed"]


POOL = [
    *("[(1,)]", "[[1]]", "{1}"),
    *("0", "1", "2", "True", "None", "1.0", "''", "'a'", "b'a'"),
    *("()", "(1,)", "(1, 2)", "[1]", "{'a': 1}", "frozenset([1])", "[g]", "[h]"),
]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from(POOL), min_size=1, max_size=6),
    position=st.integers(0, 5),
    new=st.sampled_from(POOL),
)
def test_no_edit_of_a_constant_goes_unseen(values: list[str], position: int, new: str) -> None:
    """Whatever else is around it: the digest changes exactly when the source of a value does."""

    def digest(texts: list[str]) -> str:
        names = [f"N{number}" for number in range(len(texts))]
        lines = [f"{name} = {text}" for name, text in zip(names, texts, strict=True)]
        source = "def g(): return 1\ndef h(): return 2\n" + "\n".join(lines)
        source += f"\ndef f(): return {', '.join(names)}\n"
        module = ModuleType("drawn")
        module.__file__ = "/drawn/drawn.py"
        sys.modules["drawn"] = module
        exec(compile(source, "/drawn/drawn.py", "exec"), module.__dict__)
        return fingerprint_callable(module.f)

    position %= len(values)
    edited = [*values[:position], new, *values[position + 1 :]]
    assert (digest(values) == digest(edited)) == (values == edited)
    sys.modules.pop("drawn")


def test_an_object_that_holds_itself_is_walked_once(write: Callable[..., ModuleType]) -> None:
    source = "class C: pass\nc = C()\nc.me = c\nc.x = {}\ndef f(): return c\n"
    one = fingerprint_callable(write(case=source.replace("{}", "1")).f)
    two = fingerprint_callable(write(case=source.replace("{}", "2")).f)
    assert one != two
