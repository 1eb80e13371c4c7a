"""What a rule saw: counts, first values and first rows, which add up over the parts of a table."""

from __future__ import annotations

from dataclasses import dataclass

from gristmill.validate.checks.places import NOWHERE, Places

SHOWN_EXAMPLES = 5
KEPT_VALUES = 100
_SHOWN_LENGTH = 60


@dataclass(frozen=True)
class Seen:
    """The cells of a column (or the rows of a table) that break a rule; `a + b` is both on end.

    Attributes:
        count: how many; a lower bound or an estimate unless `exact`.
        total: of how many.
        values: the first of their different values, at most 100.
        places: which rows they are in; empty when only statistics are at hand.
    """

    count: int = 0
    total: int = 0
    values: tuple[object, ...] = ()
    places: Places = NOWHERE
    exact: bool = True

    def __add__(self, other: Seen) -> Seen:
        if not other.count:
            exact = self.exact and other.exact
            return Seen(self.count, self.total + other.total, self.values, self.places, exact)
        return Seen(
            self.count + other.count,
            self.total + other.total,
            _first_different(self.values, other.values),
            self.places + other.places,
            self.exact and other.exact,
        )

    @property
    def share(self) -> float:
        """The share of cells hit, in [0, 1]; 0.0 where there are none."""
        return self.count / self.total if self.total else 0.0

    @property
    def examples(self) -> tuple[str, ...]:
        """A few of the values, spelled for a message."""
        return tuple(shown(value) for value in self.values[:SHOWN_EXAMPLES])


NOTHING = Seen()


def shown(value: object) -> str:
    """Spell a cell for a message: quoted text, cut when long."""
    spelled = repr(value) if isinstance(value, str) else str(value)
    return spelled if len(spelled) <= _SHOWN_LENGTH else spelled[: _SHOWN_LENGTH - 1] + "…"


def _first_different(one: tuple[object, ...], two: tuple[object, ...]) -> tuple[object, ...]:
    if len(one) >= KEPT_VALUES:
        return one
    # Told apart by type and spelling: 1 and True, and NaN from NaN, are what they look like.
    joined = {(type(value), str(value)): value for value in (*two[::-1], *one[::-1])}
    ordered = {(type(value), str(value)): None for value in (*one, *two)}
    return tuple(joined[key] for key in ordered)[:KEPT_VALUES]
