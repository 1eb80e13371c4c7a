"""What is known of a model that runs in other processes, without loading it here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gristmill.serve.replicas.messages import Opened
from gristmill.serve.runners.rows import Rows
from gristmill.serve.runners.work import work_of
from gristmill.store.signature import Field


class Description:
    """A `runners.runner.Described` from what a replica has told; to be inherited."""

    @property
    def opened(self) -> Opened:
        """What the replicas have opened; to be overridden."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The model's name."""
        return self.opened.name

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model that batches are run with now."""
        return self.opened.fingerprint

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Fields of a request."""
        return self.opened.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Fields of an answer."""
        return self.opened.outputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of `probs`; empty where it is no classifier."""
        return self.opened.classes

    def work(self, rows: Rows) -> NDArray[np.float64]:
        """Return float64[n], the work of each row (`runners.work.work_of`)."""
        return work_of(rows, self.opened.inputs)
