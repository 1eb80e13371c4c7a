"""What every runner is: a loaded model that answers rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gristmill.serve.runners.rows import Rows
    from gristmill.store.bundle import Field


class Described(Protocol):
    """What is known of a model wherever it runs."""

    @property
    def name(self) -> str:
        """Return the model's name."""

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of its bundle."""

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Return the fields of a request, one column of `Rows` each."""

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Return the fields of an answer; a classifier's are `label`, `prob` and `probs`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names, in the order of `probs`; none where it is no classifier."""

    def work(self, rows: Rows) -> NDArray[np.float64]:
        """Return float64[n], the work of each row: its tokens, pixels, or 1."""


class Runner(Described, Protocol):
    """A loaded model: the same object answers online, offline and on streams."""

    def __call__(self, rows: Rows) -> Rows:
        """Answer each row, in order; may be called from several threads at once.

        A row's answer is the same, within 1e-6, alone and in any batch. A classifier answers
        `label` (list of class names), `prob` (float64[n], of that class) and `probs`
        (float64[n, classes]); any other model one column per field of `outputs`.

        Raises:
            DataError: rows that the model can't read.
            ServeError: the model can't be computed.
        """
