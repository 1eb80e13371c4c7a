"""Columns that are missing, new, or both because the whole table was read wrongly."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen
from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.feature_spec import FeatureSpec
from gristmill.validate.schemas.infer import infer_feature
from gristmill.validate.schemas.schema import Schema
from gristmill.validate.statistics.statistics import Statistics

_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'", ",": "','", ":": "':'"}
_SHOWN = 5
_FEW = 3
_ALIKE = 0.7


def check_column_set(
    schema: Schema,
    active: Mapping[str, FeatureSpec],
    columns: Sequence[str],
    statistics: Statistics,
    environment: str | None,
) -> Iterator[tuple[str | None, Draft]]:
    """Yield (feature, finding) for each column that is missing or that the schema does not know."""
    there = set(columns)
    missing = [name for name in active if name not in there]
    required = [name for name in missing if active[name].required]
    new = [name for name in columns if name not in active]
    if len(required) >= min(2, len(active)) and len(missing) == len(active) and new:
        misread = _misread(required, new)
        if misread or len(required) >= _FEW:
            yield None, _none_there(required, new, misread)
            return
    for name in required:
        edit = Edit(name, "required", old=True, new=False)
        message = f"the column is missing{_similar(name, new, 'found')}"
        yield name, Draft("missing_column", message, edit=edit)
    for name in new:
        yield name, _new_column(schema, name, missing, statistics, environment)


def _none_there(required: list[str], new: list[str], misread: str) -> Draft:
    found = ", ".join(map(repr, new[:_SHOWN])) + (", ..." if len(new) > _SHOWN else "")
    message = f"none of the {len(required)} columns is there, found {found}{misread}"
    return Draft("missing_column", message, Seen(len(required), len(required)))


def _misread(required: list[str], new: list[str]) -> str:
    """Say why no column is there: another delimiter, or no header line."""
    for delimiter, spelled in _DELIMITERS.items():
        parts = [part.strip(" \"'\ufeff") for part in new[0].split(delimiter)]
        if len(new) == 1 and len(parts) > 1 and set(parts) & set(required):
            return f": the delimiter of the file is probably {spelled}"
    values = sum(_is_value(name) for name in new)
    if 2 * values >= len(new):
        return ": the file probably has no header line, its first row was taken for one"
    return ""


def _is_value(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return not name.strip()
    return True


def _new_column(
    schema: Schema,
    name: str,
    missing: list[str],
    statistics: Statistics,
    environment: str | None,
) -> Draft:
    if name in schema.features:
        message = f"the schema says that {environment!r} data does not have this column"
        return Draft("new_column", message)
    message = f"the schema does not know this column{_similar(name, missing, 'missing')}"
    feature = statistics.features.get(name)
    edit = None if feature is None else Edit(name, "", None, infer_feature(name, feature))
    return Draft("new_column", message, edit=edit)


def _similar(name: str, others: list[str], word: str) -> str:
    folded = {_folded(other): other for other in others}
    near = difflib.get_close_matches(_folded(name), folded, 1, cutoff=_ALIKE)
    return f"; {word}: {folded[near[0]]!r}, a new name for it?" if near else ""


def _folded(name: str) -> str:
    return name.strip("\ufeff ").casefold().replace("-", "_").replace(" ", "_")
