"""Free texts counted by what they are made of: charset, scripts, patterns, and how they are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from gristmill.validate.drifts.bins import RARE, Bins
from gristmill.validate.drifts.distances import sketch_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.validate.drifts.bins import Over
    from gristmill.validate.statistics.feature import Feature
    from gristmill.validate.statistics.text_shape import TextShape

_MOST_PATTERNS = 50


def by_text(before: Feature, after: Feature) -> Iterator[Bins]:
    """Yield the ways in which two columns of free text are compared, besides their lengths.

    Each cell is one observation in each of them. Letters of one text go together, so all letters
    together weigh no more than the cells they are in.
    """
    old, new = before.text, after.text
    if old is None or new is None or not old.cells or not new.cells:
        return
    yield _bins("charset", _charset(old), _charset(new), before, after)
    yield _bins("scripts", _scripts(old), _scripts(new), before, after)
    yield _bins("patterns", _patterns(old), _patterns(new), before, after)
    for shape in sorted(old.shapes.keys() | new.shapes.keys()):
        yield _bins("shapes", _shape(old, shape), _shape(new, shape), before, after)


def _charset(text: TextShape) -> dict[str, float]:
    beyond = max(0, text.cells - text.ascii - text.latin1)
    return {"ASCII": text.ascii, "Latin-1": text.latin1, "beyond Latin-1": beyond}


def _scripts(text: TextShape) -> dict[str, float]:
    return {script: share * text.cells for script, share in text.scripts.items()}


def _patterns(text: TextShape) -> dict[str, float]:
    return {top.value: float(top.count) for top in text.classes.top(_MOST_PATTERNS) if top.value}


def _shape(text: TextShape, shape: str) -> dict[str, float]:
    return {shape: float(text.shapes.get(shape, 0))}


def _bins(
    over: Over,
    old: Mapping[str, float],
    new: Mapping[str, float],
    before: Feature,
    after: Feature,
) -> Bins:
    names = sorted(old.keys() | new.keys())
    one, two = _row(names, old, before), _row(names, new, after)
    shares = one / max(1.0, one.sum())
    texts = [side.text for side in (before, after) if side.text is not None]
    error = sum(sketch_error(shares, text.error / text.cells) for text in texts)
    return Bins(over, [*names, RARE, "missing"], one, two, error=error)


def _row(names: list[str], counts: Mapping[str, float], feature: Feature) -> NDArray[np.float64]:
    own = [counts.get(name, 0.0) for name in names]
    return np.array([*own, max(0.0, feature.present - sum(own)), float(feature.missing)])
