"""A batch of which some rows could be answered and some could not."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.core.errors import ServeError
from gristmill.serve.runners.rows import Rows


class PartlyAnswered(ServeError):  # noqa: N818 - it says what it is
    """What became of each row of a batch that was run again row by row.

    The batch must not be run once more: what its process died of may be in it.

    Args:
        outcomes: for each row its answer (one row), or why there is none.
    """

    def __init__(self, outcomes: Sequence[Rows | Exception]) -> None:
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        super().__init__(f"{len(refused)} of {len(outcomes)} rows have no answer: {refused[0]}")
        self.outcomes = tuple(outcomes)

    def of(self, start: int, stop: int) -> Rows | Exception:
        """Return the answers of rows `start` to `stop`, or why one of them has none."""
        rows: list[Rows] = []
        for outcome in self.outcomes[start:stop]:
            if isinstance(outcome, Exception):
                return outcome
            rows.append(outcome)
        return Rows.concat(rows)
