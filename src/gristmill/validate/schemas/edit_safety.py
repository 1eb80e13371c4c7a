"""How safe an edit of a schema is, so that the safest comes first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gristmill.validate.schemas.edit import Edit
from gristmill.validate.schemas.schema_text import plain

Safety = Literal["safe", "loosens", "risky"]

_ORDER: dict[str, int] = {"safe": 0, "loosens": 1, "risky": 2}
_LOOSER_UP = (
    "max", "max_length", "max_values", "max_unique", "max_mistyped", "max_unseen", "max_outside",
    "max_nan", "max_infinite", "max_unmatched", "max_broken", "max_rows", "max_growth",
    "max_duplicates", "drift", "correlation",
)  # fmt: skip
_LOOSER_DOWN = (
    "min", "min_length", "min_values", "min_unique", "min_present", "min_count", "min_rows",
    "min_growth",
)  # fmt: skip
_SHARES = ("max_unseen", "max_outside", "max_nan", "max_infinite", "max_unmatched", "max_broken")
_MUCH = 0.05
_SWITCHES = {
    "required": False,
    "unique": False,
    "varies": False,
    "zeros": False,
    "fractions": False,
    "negative": True,
}
_HARMLESS = ("note", "unit", "inferred_from_rows")


def safety(edit: Edit) -> Safety:
    """Tell what accepting an edit gives up.

    "safe": data that passed still passes, and nothing that was caught goes unseen, such as a new
    optional column. "loosens": a bound moves as far as the data. "risky": a check is switched off,
    a type changes or is met by fewer cells, or more than one cell in twenty is let through.
    """
    old, new = plain(edit.old), plain(edit.new)
    if not edit.key:
        return _of_feature(new)
    key = edit.key.split(".")[-1]
    if key in _HARMLESS:
        return "safe"
    if key in _SWITCHES:
        return "risky" if new is None or new == _SWITCHES[key] else "safe"
    if isinstance(old, list) and isinstance(new, list):
        return _of_list(key, set(old), set(new))
    if _is_number(old) and _is_number(new):
        return _of_bound(key, float(str(old)), float(str(new)))
    # A limit where there was none can only catch more.
    return "safe" if old is None and key in (*_LOOSER_UP, *_LOOSER_DOWN) else "risky"


def ranked(edits: Iterable[Edit]) -> list[Edit]:
    """Order edits by safety, the safest first; equals stay in their order."""
    return sorted(edits, key=lambda edit: _ORDER[safety(edit)])


def switches_off(edit: Edit) -> bool:
    """Tell whether an edit would stop looking at a feature's type, or at the feature at all."""
    if edit.feature is None:
        return False
    if edit.key == "max_mistyped":
        return _is_number(edit.new) and float(str(edit.new)) > _MUCH
    return (not edit.key and edit.new is None) or (edit.key == "type" and edit.new == "any")


def _of_feature(new: object) -> Safety:
    if not isinstance(new, dict):
        return "risky"
    return "safe" if new.get("required") is False or not new.get("min_present") else "loosens"


def _of_list(key: str, old: set[object], new: set[object]) -> Safety:
    if key == "key" and new and (not old or new <= old):
        return "safe"
    # More columns make a key that more rows meet.
    return "loosens" if key in ("domain", "key") and old and old <= new else "risky"


def _of_bound(key: str, old: float, new: float) -> Safety:
    looser = (key in _LOOSER_UP and new > old) or (key in _LOOSER_DOWN and new < old)
    if key in (*_LOOSER_UP, *_LOOSER_DOWN) and not looser:
        return "safe"
    if key == "max_mistyped":
        return "risky"
    much = (key in _SHARES and new > _MUCH) or (key == "min_present" and old - new > _MUCH)
    return "loosens" if looser and not much else "risky"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
