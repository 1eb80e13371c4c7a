"""Multinomial logistic regression on soft targets: convex, so exact, and fast."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gristmill.train.weak.sparse_rows import SparseRows

Floats: TypeAlias = NDArray[np.float64]

_TOLERANCE = 1e-5
_MOST_STEPS = 500
_HISTORY = 10


class Logistic:
    """Rows to fit on again and again, with other targets, weights and penalties.

    Minimises sum_i w_i H(t_i, softmax(x_i B + b)) + l2 / 2 |B|^2, H the cross-entropy, by L-BFGS
    (Liu and Nocedal 1989); the intercept b is free. `l2` is the inverse of what some libraries
    call C.

    Args:
        rows: float64[n, d].
    """

    def __init__(self, rows: SparseRows) -> None:
        self.rows = rows
        self._matrix, self._transposed = rows.tensor(), rows.transposed().tensor()

    def fit(
        self,
        targets: Floats,
        weights: Floats,
        l2: float,
        *,
        start: Floats | None = None,
        tolerance: float = _TOLERANCE,
    ) -> Floats:
        """Return the coefficients, float64[d + 1, k], the intercept last.

        Args:
            targets: float64[n, k], distributions over the classes.
            weights: float64[n], 0 or more, not all 0.
            l2: penalty, above 0.
            start: coefficients to start from; the end is the same, sooner.
            tolerance: largest entry of the gradient at the end, per unit of weight.
        """
        goal, weight = torch.from_numpy(targets), torch.from_numpy(weights)[:, None]
        total = float(weights.sum())
        first = np.zeros((self.rows.width + 1, targets.shape[1])) if start is None else start.copy()
        found = torch.nn.Parameter(torch.from_numpy(first))
        optimizer = torch.optim.LBFGS(
            [found],
            max_iter=_MOST_STEPS,
            history_size=_HISTORY,
            tolerance_grad=tolerance,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        @torch.no_grad()  # LBFGS switches gradients on around it
        def objective() -> float:
            logs = torch.log_softmax(self._scores(found), dim=1)
            excess = weight * (logs.exp() - goal) / total
            slope = self._transposed @ excess + (l2 / total) * found[:-1]
            found.grad = torch.cat([slope, excess.sum(dim=0, keepdim=True)])
            penalty = l2 / 2 * float((found[:-1] ** 2).sum())
            return (penalty - float((weight * goal * logs).sum())) / total

        optimizer.step(objective)
        # The optimiser is part of a reference cycle; its history would pile up until the collector
        # comes by.
        optimizer.state.clear()
        return np.asarray(found.detach().numpy())

    def _scores(self, coefficients: Tensor) -> Tensor:
        return self._matrix @ coefficients[:-1] + coefficients[-1]


def predict_logs(rows: SparseRows, coefficients: Floats) -> Floats:
    """Return the logarithms of P(class | row), float64[n, k]."""
    found = torch.from_numpy(coefficients)
    scores = rows.tensor() @ found[:-1] + found[-1]
    return np.asarray(torch.log_softmax(scores, dim=1).numpy())
