"""Which names a piece of compiled code reads from outside itself.

Bytecode rather than source text: it ignores comments and layout, and it says exactly which names
are globals, closures or imports, where text would have to guess.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CLOSURE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_COMPUTED = {"eval", "exec", "__import__", "import_module", "globals"}
_LOOKAHEAD = 5


@dataclass(frozen=True, slots=True)
class Reference:
    """One name that code reads: `helpers.clean_text` is root `helpers`, path `("clean_text",)`.

    `origin` is `global`, `closure` or `import` (root is then a module's full name).
    """

    origin: str
    root: str
    path: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """A place where what runs is decided at run time, so that no reader of code can follow."""

    what: str
    line: int


@cache
def references(code: CodeType) -> tuple[Reference | BlindSpot, ...]:
    """Return what `code`, and the functions and comprehensions inside it, read from outside."""
    return tuple(_references(code))


def _references(code: CodeType) -> Iterator[Reference | BlindSpot]:
    instructions = [item for item in dis.get_instructions(code) if item.opname != "CACHE"]
    line = code.co_firstlineno
    for position, item in enumerate(instructions):
        line = _line(item, line)
        if item.opname in _GLOBAL:
            path = _attributes(instructions, position + 1)
            yield Reference("global", item.argval, path, line)
            yield from _blind_spots(instructions, position, path, line)
        elif item.opname in _CLOSURE:
            path = _attributes(instructions, position + 1)
            yield Reference("closure", item.argval, path, line)
        elif item.opname == "IMPORT_NAME":
            yield from _imports(instructions, position, line)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _references(constant)


def _line(item: dis.Instruction, current: int) -> int:
    positions = item.positions
    return positions.lineno if positions and positions.lineno else current


def _attributes(instructions: list[dis.Instruction], start: int) -> tuple[str, ...]:
    """Return the attribute names read in a row: `.a.b.c` from `start` on."""
    names = []
    for item in instructions[start:]:
        if item.opname not in _ATTRIBUTE:
            break
        names.append(str(item.argval))
    return tuple(names)


def _imports(instructions: list[dis.Instruction], position: int, line: int) -> Iterator[Reference]:
    """Yield one reference per name of an `import` inside a function."""
    module = str(instructions[position].argval)
    names = []
    for item in instructions[position + 1 :]:
        if item.opname == "IMPORT_FROM":
            names.append(str(item.argval))
        elif not item.opname.startswith("STORE"):
            break
    for name in names:
        yield Reference("import", module, (name,), line)
    if not names:
        yield Reference("import", module, (), line)


def _blind_spots(
    instructions: list[dis.Instruction], position: int, path: tuple[str, ...], line: int
) -> Iterator[BlindSpot]:
    root = str(instructions[position].argval)
    called = path[-1] if path else root
    if called in _COMPUTED:
        yield BlindSpot(f"{called}()", line)
    elif root == "getattr" and not _constant_name_follows(instructions, position):
        yield BlindSpot("getattr() with a computed name", line)


def _constant_name_follows(instructions: list[dis.Instruction], position: int) -> bool:
    following = instructions[position + 1 : position + 1 + _LOOKAHEAD]
    return any(item.opname == "LOAD_CONST" and isinstance(item.argval, str) for item in following)
