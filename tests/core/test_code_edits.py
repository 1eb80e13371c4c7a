"""Every way in which an edit may reach a step: the fingerprint changes, or says it cannot see."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from gristmill.core.code import CodeReach, reach


class Edit(NamedTuple):
    """A change of one text in a project's files; `main` holds the function `f`."""

    old: str
    new: str
    files: Mapping[str, str]


@pytest.fixture
def reach_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CodeReach]]:
    """Write a project's files and return what `f` of `main` can reach, as a new process would."""
    for folder in (tmp_path / "site-packages", tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name, module in list(sys.modules.items()):
            places = [getattr(module, "__file__", None) or "", *vars(module).get("__path__", ())]
            if any(str(place).startswith(str(tmp_path)) for place in places):
                del sys.modules[name]

    def go(files: Mapping[str, str]) -> CodeReach:
        forget()
        for name, source in files.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        importlib.invalidate_caches()
        return reach(importlib.import_module("main").f)

    yield go
    forget()


def edited(edit: Edit) -> dict[str, str]:
    assert any(edit.old in source for source in edit.files.values())
    return {name: source.replace(edit.old, edit.new) for name, source in edit.files.items()}


SEEN: dict[str, Edit] = {
    "swap in dict": Edit(
        "'a': g, 'b': h",
        "'a': h, 'b': g",
        {
            "main": """\
def g(): return 1
def h(): return 2
MAP = {'a': g, 'b': h}
def f(): return MAP['a']()
"""
        },
    ),
    "alias global": Edit(
        "active = g",
        "active = h",
        {
            "main": """\
def g(): return 1
def h(): return 2
active = g
def f(): return active(), g(), h()
"""
        },
    ),
    "import as": Edit(
        "one as x, two as y",
        "two as x, one as y",
        {
            "hp": "def one(): return 1\ndef two(): return 2\n",
            "main": """\
from hp import one as x, two as y
def f(): return x() - y()
""",
        },
    ),
    "function attribute": Edit(
        "h.LIMIT = 1",
        "h.LIMIT = 2",
        {
            "main": """\
def h(): return h.LIMIT
h.LIMIT = 1
def f(): return h()
"""
        },
    ),
    "init_subclass": Edit(
        "+ 1",
        "+ 2",
        {
            "main": """\
class B:
    def __init_subclass__(cls): cls.x = 0 + 1
class C(B): pass
def f(): return C.x
"""
        },
    ),
    "init_subclass body lazily": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class B:
    def __init_subclass__(cls): cls.x = lambda: 5
    @classmethod
    def __class_getitem__(cls, k): return 1
def f(): return B[3]
"""
        },
    ),
    "metaclass": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class M(type):
    def __call__(cls): return 1
class C(metaclass=M): pass
def f(): return C()
"""
        },
    ),
    "dataclass default factory": Edit(
        "return [1]",
        "return [2]",
        {
            "main": """\
from dataclasses import dataclass, field
def mk(): return [1]
@dataclass
class C:
    x: list = field(default_factory=mk)
def f(): return C().x
"""
        },
    ),
    "dataclass instance method": Edit(
        "* 1",
        "* 2",
        {
            "main": """\
from dataclasses import dataclass
@dataclass
class C:
    x: int
    def go(self): return self.x * 1
c = C(1)
def f(): return c.go()
"""
        },
    ),
    "dataclass field(default)": Edit(
        "default=1",
        "default=2",
        {
            "main": """\
from dataclasses import dataclass, field
@dataclass
class C:
    x: int = field(default=1)
def f(): return C().x
"""
        },
    ),
    "dataclass slots default": Edit(
        "= 1",
        "= 2",
        {
            "main": """\
from dataclasses import dataclass, field
@dataclass(slots=True)
class C:
    x: int = 1
def f(): return C().x
"""
        },
    ),
    "dataclass order": Edit(
        "order=True",
        "order=False",
        {
            "main": """\
from dataclasses import dataclass, field
@dataclass(order=True)
class C:
    x: int = 1
def f(): return C() < C(2)
"""
        },
    ),
    "dataclass eq": Edit(
        "eq=True",
        "eq=False",
        {
            "main": """\
from dataclasses import dataclass, field
@dataclass(eq=True)
class C:
    x: int = 1
def f(): return C() == C(1)
"""
        },
    ),
    "field compare": Edit(
        "compare=True",
        "compare=False",
        {
            "main": """\
from dataclasses import dataclass, field
@dataclass(eq=True)
class C:
    x: int = field(default=1, compare=True)
def f(): return C() == C(2)
"""
        },
    ),
    "struct default": Edit(
        "= 1",
        "= 2",
        {
            "main": """\
import msgspec
class C(msgspec.Struct):
    x: int = 1
def f(): return C().x
"""
        },
    ),
    "struct method on global": Edit(
        "* 1",
        "* 2",
        {
            "main": """\
import msgspec
class C(msgspec.Struct):
    x: int = 1
    def go(self): return self.x * 1
c = C()
def f(): return c.go()
"""
        },
    ),
    "struct option": Edit(
        "omit_defaults=True",
        "omit_defaults=False",
        {
            "main": """\
import msgspec
class C(msgspec.Struct, omit_defaults=True):
    x: int = 1
def f(): return msgspec.json.encode(C())
"""
        },
    ),
    "namedtuple default": Edit(
        "= 1",
        "= 2",
        {
            "main": """\
from typing import NamedTuple
class C(NamedTuple):
    x: int = 1
def f(): return C().x
"""
        },
    ),
    "namedtuple method global": Edit(
        "* 1",
        "* 2",
        {
            "main": """\
from typing import NamedTuple
class C(NamedTuple):
    x: int = 1
    def go(self): return self.x * 1
c = C()
def f(): return c.go()
"""
        },
    ),
    "enum value": Edit(
        "A = 1",
        "A = 2",
        {
            "main": """\
from enum import Enum
class E(Enum):
    A = 1
def f(): return E.A.value
"""
        },
    ),
    "enum method, member used": Edit(
        "* 1",
        "* 2",
        {
            "main": """\
from enum import Enum
class E(Enum):
    A = 1
    def go(self): return self.value * 1
m = E.A
def f(): return m.go()
"""
        },
    ),
    "str enum method": Edit(
        "* 1",
        "* 2",
        {
            "main": """\
from enum import Enum
class E(str, Enum):
    A = 'x'
    def go(self): return self.value * 1
m = E.A
def f(): return m.go()
"""
        },
    ),
    "float subclass": Edit(
        "* 1",
        "* 2",
        {
            "main": """\
class R(float):
    def go(self): return self * 1
r = R(3)
def f(): return r.go()
"""
        },
    ),
    "dict subclass": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class D(dict):
    def __missing__(self, k): return 1
d = D()
def f(): return d['x']
"""
        },
    ),
    "list subclass attr": Edit(
        "d.x = 1",
        "d.x = 2",
        {
            "main": """\
class D(list): pass
d = D()
d.x = 1
def f(): return d.x
"""
        },
    ),
    "slots instance": Edit(
        "C(1)",
        "C(2)",
        {
            "main": """\
class C:
    __slots__ = ('x',)
    def __init__(self, x): self.x = x
c = C(1)
def f(): return c.x
"""
        },
    ),
    "singledispatch": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
from functools import singledispatch
@singledispatch
def g(x): return 0
@g.register
def _(x: int): return 1
def f(): return g(3)
"""
        },
    ),
    "lru_cache": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
from functools import lru_cache
@lru_cache
def g(): return 1
def f(): return g()
"""
        },
    ),
    "cached_property": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
from functools import cached_property
class C:
    @cached_property
    def x(self): return 1
def f(): return C().x
"""
        },
    ),
    "partialmethod": Edit(
        "(go, 1)",
        "(go, 2)",
        {
            "main": """\
from functools import partialmethod
class C:
    def go(self, a): return a
    x = partialmethod(go, 1)
def f(): return C().x()
"""
        },
    ),
    "vectorize": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
import numpy as np
def g(x): return 1
v = np.vectorize(g)
def f(): return v([1])
"""
        },
    ),
    "abc": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
from abc import ABC, abstractmethod
class B(ABC):
    @abstractmethod
    def go(self): ...
    def run(self): return self.go()
class C(B):
    def go(self): return 1
def f(): return C().run()
"""
        },
    ),
    "base in other module": Edit(
        "return 1",
        "return 2",
        {
            "hp": "class B:\n    def go(self): return 1\n",
            "main": """\
from hp import B
class C(B): pass
def f(): return C().go()
""",
        },
    ),
    "star import": Edit(
        "return 1",
        "return 2",
        {"hp": "def g(): return 1\n", "main": "from hp import *\ndef f(): return g()\n"},
    ),
    "package relative": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "pk/mid": "from .low import g\ndef m(): return g()\n",
            "main": """\
from pk.mid import m
def f(): return m()
""",
        },
    ),
    "relative in body": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "pk/mid": """\
def m():
    from .low import g
    return g()
""",
            "main": """\
from pk.mid import m
def f(): return m()
""",
        },
    ),
    "from . import in body": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "pk/mid": """\
def m():
    from . import low
    return low.g()
""",
            "main": """\
from pk.mid import m
def f(): return m()
""",
        },
    ),
    "two dots in body": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "pk/sub/__init__": "",
            "pk/sub/mid": """\
def m():
    from ..low import g
    return g()
""",
            "main": """\
from pk.sub.mid import m
def f(): return m()
""",
        },
    ),
    "import a.b as c in body": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "main": """\
def f():
    import pk.low as c
    return c.g()
""",
        },
    ),
    "import a.b in body": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "main": """\
def f():
    import pk.low
    return pk.low.g()
""",
        },
    ),
    "from pk import mod in body": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "main": """\
def f():
    from pk import low
    return low.g()
""",
        },
    ),
    "namespace package top": Edit(
        "return 1",
        "return 2",
        {
            "ns/low": "def g(): return 1\n",
            "main": """\
import ns.low
def f(): return ns.low.g()
""",
        },
    ),
    "namespace package from": Edit(
        "return 1",
        "return 2",
        {
            "ns/low": "def g(): return 1\n",
            "main": """\
from ns import low
def f(): return low.g()
""",
        },
    ),
    "namespace package body": Edit(
        "return 1",
        "return 2",
        {
            "ns/low": "def g(): return 1\n",
            "main": """\
def f():
    from ns import low
    return low.g()
""",
        },
    ),
    "namespace package body2": Edit(
        "return 1",
        "return 2",
        {
            "ns/low": "def g(): return 1\n",
            "main": """\
def f():
    from ns.low import g
    return g()
""",
        },
    ),
    "star import in pkg init": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "from .low import *\n",
            "pk/low": "def g(): return 1\n",
            "main": "import pk\ndef f(): return pk.g()\n",
        },
    ),
    "try range": Edit(
        """\
    try:
        x = a()
        return b(x)
    except ValueError:
        return 0
""",
        """\
    try:
        x = a()
    except ValueError:
        return 0
    else:
        return b(x)
""",
        {
            "main": """\
def a(): return 1
def b(x): raise ValueError
def f():
    try:
        x = a()
        return b(x)
    except ValueError:
        return 0
"""
        },
    ),
    "annotation generic": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class C:
    def go(self): return 1
def f(c: list[C]): return c[0].go()
"""
        },
    ),
    "annotation optional": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class C:
    def go(self): return 1
def f(c: C | None): return c.go()
"""
        },
    ),
    "annotation dotted str": Edit(
        "return 1",
        "return 2",
        {
            "hp": "class C:\n    def go(self): return 1\n",
            "main": """\
from __future__ import annotations
import hp
def f(c: hp.C): return c.go()
""",
        },
    ),
    "import_module constant": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
import importlib
def f(): return importlib.import_module('hp').g()
""",
        },
    ),
    "vars(module)": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
import hp
def f(): return vars(hp)['g']()
""",
        },
    ),
    "atexit-like closure of package fn": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
import operator, itertools
from toolz_like import deco
@deco
def g(): return 1
def f(): return g()
""",
            "site-packages/toolz_like": """\
def deco(fn):
    def inner(*a): return fn(*a)
    return inner
""",
        },
    ),
    "global mutated at import": Edit(
        "T.append(1)",
        "T.append(2)",
        {
            "hp": "T = []\n",
            "reg": "import hp\nhp.T.append(1)\n",
            "main": "import reg, hp\ndef f(): return hp.T\n",
        },
    ),
    "monkeypatch": Edit(
        "lambda: 1",
        "lambda: 2",
        {
            "hp": "def g(): return 0\n",
            "reg": "import hp\nhp.g = lambda: 1\n",
            "main": "import reg, hp\ndef f(): return hp.g()\n",
        },
    ),
    "registry": Edit(
        "return 1",
        "return 2",
        {
            "hp": """\
R = {}
def reg(fn):
    R[fn.__name__] = fn
    return fn
""",
            "plug": """\
from hp import reg
@reg
def g(): return 1
""",
            "main": """\
import plug
from hp import R
def f(): return R['g']()
""",
        },
    ),
    "conditional import": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
try:
    import nosuch as m
except ImportError:
    import hp as m
def f(): return m.g()
""",
        },
    ),
    "f-string": Edit("v1", "v2", {"main": "def f(x=1): return f'v1 {x:>3}'\n"}),
    "f-string spec": Edit(":>3", ":>4", {"main": "def f(x=1): return f'v1 {x:>3}'\n"}),
    "lambda in default": Edit(
        "x + 1",
        "x + 2",
        {
            "main": """\
def g(k=lambda x: x + 1): return k(1)
def f(): return g()
"""
        },
    ),
    "swap lambdas in list": Edit(
        "[lambda: 1, lambda: 2]",
        "[lambda: 2, lambda: 1]",
        {
            "main": """\
L = [lambda: 1, lambda: 2]
def f(): return L[0]()
"""
        },
    ),
    "bound method": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class C:
    def go(self): return 1
m = C().go
def f(): return m()
"""
        },
    ),
    "classmethod via alt ctor": Edit(
        "return cls(1)",
        "return cls(2)",
        {
            "main": """\
class C:
    def __init__(self, x): self.x = x
    @classmethod
    def mk(cls): return cls(1)
def f(): return C.mk().x
"""
        },
    ),
    "descriptor": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
class D:
    def __get__(self, o, t): return 1
class C:
    x = D()
def f(): return C().x
"""
        },
    ),
    "class attr swap of functions": Edit(
        "run = g",
        "run = h",
        {
            "main": """\
def g(s): return 1
def h(s): return 2
class C:
    run = g
def f(): return C().run(), g(0), h(0)
"""
        },
    ),
    "instance attr swap": Edit(
        "c.fn = g",
        "c.fn = h",
        {
            "main": """\
def g(): return 1
def h(): return 2
class C: pass
c = C()
c.fn = g
def f(): return c.fn(), g(), h()
"""
        },
    ),
    "partial func swap": Edit(
        "partial(g)",
        "partial(h)",
        {
            "main": """\
from functools import partial
def g(): return 1
def h(): return 2
p = partial(g)
def f(): return p(), g(), h()
"""
        },
    ),
    "default function swap": Edit(
        "k=g",
        "k=h",
        {
            "main": """\
def g(): return 1
def h(): return 2
def w(k=g): return k()
def f(): return w(), g(), h()
"""
        },
    ),
    "closure function swap": Edit(
        "mk(g)",
        "mk(h)",
        {
            "main": """\
def g(): return 1
def h(): return 2
def mk(k):
    def inner(): return k()
    return inner
w = mk(g)
def f(): return w(), g(), h()
"""
        },
    ),
    "array dtype global": Edit(
        "float32",
        "float64",
        {
            "main": """\
import numpy as np
A = np.ones(2, dtype=np.float32)
def f(): return A
"""
        },
    ),
    "mro order": Edit(
        "class C(A, B)",
        "class C(B, A)",
        {
            "main": """\
class A:
    def go(self): return 1
class B:
    def go(self): return 2
class C(A, B): pass
def f(): return C().go()
"""
        },
    ),
    "base aliased": Edit(
        "Base = A",
        "Base = B",
        {
            "a": "class X:\n    def go(self): return 1\n",
            "b": "class X:\n    def go(self): return 2\n",
            "main": """\
import a, b
A, B = a.X, b.X
Base = A
class C(Base): pass
def f(): return C().go(), A, B
""",
        },
    ),
    "decorator arg": Edit(
        "deco(1)",
        "deco(2)",
        {
            "main": """\
def deco(n):
    def w(fn):
        def inner(): return fn() * n
        return inner
    return w
@deco(1)
def g(): return 1
def f(): return g()
"""
        },
    ),
    "decorator order": Edit(
        "@a\n@b\n",
        "@b\n@a\n",
        {
            "main": """\
import functools
def a(fn):
    @functools.wraps(fn)
    def inner(): return fn() + 1
    return inner
def b(fn):
    @functools.wraps(fn)
    def inner(): return fn() * 2
    return inner
@a
@b
def g(): return 1
def f(): return g()
"""
        },
    ),
    "submodule attr via top pkg": Edit(
        "return 1",
        "return 2",
        {
            "pk/__init__": "",
            "pk/low": "def g(): return 1\n",
            "main": """\
import pk.low
def f(): return pk.low.g()
""",
        },
    ),
    "generator constants": Edit(
        "1 if", "2 if", {"main": "def f(): return list((1 if x else 0) for x in range(3))\n"}
    ),
    "walrus/global stmt": Edit(
        "G = 1",
        "G = 2",
        {
            "main": """\
G = 1
def g():
    global G
    return G
def f(): return g()
"""
        },
    ),
    "nested class body reads global": Edit(
        "K = 1",
        "K = 2",
        {
            "main": """\
K = 1
def f():
    class C:
        x = K
    return C.x
"""
        },
    ),
    "dunder name global": Edit(
        "__version__ = 1",
        "__version__ = 2",
        {
            "hp": "__version__ = 1\n",
            "main": """\
import hp
def f(): return hp.__version__
""",
        },
    ),
    "module value with dunder": Edit(
        "__version__ = 1",
        "__version__ = 2",
        {
            "hp": "__version__ = 1\n",
            "main": """\
import hp
def g(m): return m.__version__
def f(): return g(hp)
""",
        },
    ),
    "class __slots__/dunder attr": Edit(
        "__priority__ = 1",
        "__priority__ = 2",
        {
            "main": """\
class C:
    __priority__ = 1
def f(): return C.__priority__
"""
        },
    ),
}
"""Edits that change what `f` returns, or may."""

TOLD: dict[str, Edit] = {
    "import_module computed": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
import importlib
def f(n='hp'): return importlib.import_module(n).g()
""",
        },
    ),
    "import_module aliased": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
from importlib import import_module as im
def f(n='hp'): return im(n).g()
""",
        },
    ),
    "import_module in body": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
def f(n='hp'):
    import importlib
    return importlib.import_module(n).g()
""",
        },
    ),
    "exec": Edit(
        "x = 1",
        "x = 2",
        {
            "main": """\
SRC = 'x = 1'
def f():
    d = {}
    exec(SRC, d)
    return d['x']
"""
        },
    ),
    "eval alias": Edit(
        "return 1",
        "return 2",
        {
            "main": """\
def g(): return 1
ev = eval
def f(n='g()'): return ev(n)
"""
        },
    ),
    "runpy": Edit(
        "x = 1",
        "x = 2",
        {
            "hp": "x = 1\n",
            "main": """\
import runpy
def f(): return runpy.run_path('hp.py')['x']
""",
        },
    ),
    "subprocess": Edit(
        "print(1)",
        "print(2)",
        {
            "hp": "print(1)\n",
            "main": """\
import subprocess, sys
def f(): return subprocess.check_output([sys.executable, 'hp.py'])
""",
        },
    ),
    "os.system": Edit(
        "print(1)",
        "print(2)",
        {
            "hp": "print(1)\n",
            "main": """\
import os
def f(): return os.system('python hp.py')
""",
        },
    ),
    "sys.modules": Edit(
        "return 1",
        "return 2",
        {
            "hp": "def g(): return 1\n",
            "main": """\
import sys, hp as _
def f(): return sys.modules['hp'].g()
""",
        },
    ),
}
"""Edits behind what is decided at run time."""

NOTHING: dict[str, Edit] = {
    "comment": Edit("return 1", "return 1  # c", {"main": "def f():\n    return 1\n"}),
    "hint only": Edit(
        "def g(x):", "def g(x: int) -> int:", {"main": "def g(x): return x\ndef f(): return g(1)\n"}
    ),
    "class docstring": Edit(
        "'one'",
        "'two two'",
        {
            "main": """\
class C:
    'one'
    def go(self): return 1
def f(): return C().go()
"""
        },
    ),
    "blank lines above": Edit(
        "K = 1",
        "\n\n\nK = 1",
        {
            "main": """\
K = 1
def h(): return K
class C:
    def go(self):
        class D:
            pass
        return D
def f(): return h(), C
"""
        },
    ),
    "unused fn": Edit("return 9", "return 8", {"main": "def u(): return 9\ndef f(): return 1\n"}),
}
"""Edits that change nothing that `f` does."""


@pytest.mark.parametrize("edit", SEEN.values(), ids=SEEN)
def test_an_edit_that_may_matter_is_seen(reach_of: Callable[..., CodeReach], edit: Edit) -> None:
    before, again = reach_of(edit.files), reach_of(edit.files)
    after = reach_of(edited(edit))
    assert before.digest == again.digest
    assert before.digest != after.digest
    assert after.changes_since(before.parts, before.packages)


@pytest.mark.parametrize("edit", TOLD.values(), ids=TOLD)
def test_what_is_decided_at_run_time_is_told(
    reach_of: Callable[..., CodeReach], edit: Edit
) -> None:
    assert reach_of(edit.files).blind_spots


@pytest.mark.parametrize("edit", NOTHING.values(), ids=NOTHING)
def test_an_edit_that_changes_nothing_is_not_seen(
    reach_of: Callable[..., CodeReach], edit: Edit
) -> None:
    assert reach_of(edit.files).digest == reach_of(edited(edit)).digest


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os\ndef f(): return os.environ['X']\n", "main.py:2: an environment variable"),
        (
            "from os import getenv as g\ndef f(): return g('X')\n",
            "main.py:2: an environment variable",
        ),
        ("def f():\n    import os\n    return os.environ\n", "main.py:3: an environment variable"),
        ("import subprocess\ndef f(): subprocess.run(['ls'])\n", "main.py:2: another program"),
        (
            "def f():\n    from subprocess import run\n    run(['ls'])\n",
            "main.py:2: another program",
        ),
        (
            "def f():\n    import late\n    return late.x\n",
            "main.py:2: late cannot be imported: no",
        ),
    ],
)
def test_the_place_is_named(reach_of: Callable[..., CodeReach], source: str, told: str) -> None:
    assert told in reach_of({"late": "raise ValueError('no')\n", "main": source}).blind_spots


@pytest.mark.parametrize(
    "source",
    [
        "class Net:\n    def eval(self): return self\nnet = Net()\ndef f(): return net.eval()\n",
        "import subprocess\ndef f():\n    try: pass\n    except subprocess.TimeoutExpired: pass\n",
        "from abc import ABC\nclass C(ABC): pass\ndef f(): return C()\n",
        "from typing import NamedTuple\nclass C(NamedTuple): x: int = 1\ndef f(): return C()\n",
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass C:\n    x: int = 1\n"
        "def f(): return C()\n",
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass C(Generic[T]): pass\n"
        "Rows = list[C[int]]\ndef f(x: Rows): return C[int](), Rows, T\n",
    ],
)
def test_what_can_be_read_is_no_blind_spot(reach_of: Callable[..., CodeReach], source: str) -> None:
    assert reach_of({"main": source}).blind_spots == []


def test_what_trains_and_serves_counts_by_the_version_of_torch(
    reach_of: Callable[..., CodeReach],
) -> None:
    source = "def f():\n    from gristmill.train import fit\n    return fit\n"
    assert list(reach_of({"main": source}).packages) == ["gristmill", "torch"]
    other = source.replace("gristmill.train import fit", "gristmill.data import read_table")
    assert list(reach_of({"main": other}).packages) == ["gristmill"]


def test_classes_that_a_function_will_be_given_count(
    reach_of: Callable[..., CodeReach],
) -> None:
    source = "class C:\n    def go(self): return 1\ndef f(c): return c.go()\n"
    parts = {}
    for text in (source, source.replace("return 1", "return 2")):
        reach_of({"main": text})
        main = sys.modules["main"]
        parts[text] = reach(main.f, also=[main.C]).parts
    one, two = parts.values()
    assert one.keys() == two.keys()
    assert one != two
