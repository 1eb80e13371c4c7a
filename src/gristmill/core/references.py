"""Which names a piece of compiled code reads from outside itself.

Bytecode rather than source text: it ignores comments and layout, and it says exactly which names
are globals, closures or imports, where text would have to guess.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import TypeAlias

Instructions: TypeAlias = Sequence[dis.Instruction]

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CLOSURE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_LOCAL = {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_IMPORTER = "import_module"


@dataclass(frozen=True, slots=True)
class Reference:
    """One name that code reads: `helpers.clean_text` is root `helpers`, path `("clean_text",)`.

    `origin` is `global`, `closure` or `import` (root is then a module's name as it is written, and
    `level` says how many dots stand before it).
    """

    origin: str
    root: str
    path: tuple[str, ...]
    line: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """A place where what runs is decided at run time, so that no reader of code can follow."""

    what: str
    line: int


Found: TypeAlias = Reference | BlindSpot


@cache
def references(code: CodeType) -> tuple[Found, ...]:
    """Return what `code`, and the functions and comprehensions inside it, read from outside."""
    return tuple(_Reader({}).read(code))


class _Reader:
    """Reads code, and the code inside it, which sees the names that the outer one has imported."""

    def __init__(self, imported: Mapping[str, Reference]) -> None:
        self._imported = dict(imported)

    def read(self, code: CodeType) -> Iterator[Found]:
        """Yield what the code reads from outside itself."""
        instructions = [item for item in dis.get_instructions(code) if item.opname != "CACHE"]
        line = code.co_firstlineno
        for position, item in enumerate(instructions):
            line = _line(item, line)
            if item.opname == "IMPORT_NAME":
                yield from self._imports(instructions, position, line)
            elif item.opname in _GLOBAL or item.opname in _CLOSURE:
                origin = "global" if item.opname in _GLOBAL else "closure"
                yield from self._name(instructions, position, origin, line)
            elif item.opname in _LOCAL and item.argval in self._imported:
                yield from self._name(instructions, position, "import", line)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _Reader(self._imported).read(constant)

    def _name(
        self, instructions: Instructions, position: int, origin: str, line: int
    ) -> Iterator[Found]:
        """Yield what a name stands for with the attributes that are read of it."""
        name = str(instructions[position].argval)
        path = _attributes(instructions, position + 1)
        after = position + 1 + len(path)
        if (path[-1] if path else name) == _IMPORTER and (text := _argument(instructions, after)):
            yield Reference("import", text, (), line)
            return
        module = self._imported.get(name)
        if module is not None and origin != "global":
            if path:
                yield Reference("import", module.root, (*module.path, *path), line, module.level)
            return
        yield Reference(origin, name, path, line)
        if name == "getattr" and not path and not _constant_name_follows(instructions, position):
            yield BlindSpot("getattr() with a computed name", line)

    def _imports(self, instructions: Instructions, position: int, line: int) -> Iterator[Reference]:
        """Yield one reference per name of an `import` inside a function, and remember the names."""
        level, names = (item.argval for item in instructions[position - 2 : position])
        module = str(instructions[position].argval)
        stored = list(_stored(instructions, position + 1, names))
        if names is None:
            yield Reference("import", module, (), line, level)
            whole = module if instructions[position + 1].opname == "IMPORT_FROM" else None
            for name in stored:
                root = whole or module.partition(".")[0]
                self._imported[name] = Reference("import", root, (), line, level)
            return
        for name, local in zip(names, stored, strict=False):
            self._imported[local] = Reference("import", module, (name,), line, level)
            yield self._imported[local]


def _stored(instructions: Instructions, start: int, names: object) -> Iterator[str]:
    """Yield the names that an import binds."""
    wanted = len(names) if isinstance(names, tuple) else 1
    for item in instructions[start:]:
        if item.opname.startswith("STORE"):
            yield str(item.argval)
            wanted -= 1
        if not wanted:
            break


def _line(item: dis.Instruction, current: int) -> int:
    positions = item.positions
    return positions.lineno if positions and positions.lineno else current


def _attributes(instructions: Instructions, start: int) -> tuple[str, ...]:
    """Return the attribute names read in a row: `.a.b.c` from `start` on."""
    names = []
    for item in instructions[start:]:
        if item.opname not in _ATTRIBUTE:
            break
        names.append(str(item.argval))
    return tuple(names)


def _argument(instructions: Instructions, start: int) -> str | None:
    """Return the text that is the only argument of the call that begins at `start`, if it is so."""
    following = [item for item in instructions[start : start + 4] if item.opname != "PUSH_NULL"]
    if len(following) < 2 or not following[1].opname.startswith(("PRECALL", "CALL")):
        return None
    text = following[0].argval if following[0].opname == "LOAD_CONST" else None
    return text if isinstance(text, str) and not text.startswith(".") else None


def _constant_name_follows(instructions: Instructions, position: int) -> bool:
    """Say whether the call that begins here is given a text that stands in the code."""
    for item in instructions[position + 1 :]:
        if item.opname.startswith(("PRECALL", "CALL")):
            return False
        if item.opname == "LOAD_CONST" and isinstance(item.argval, str):
            return True
    return False
