"""A fitted label model, as data."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.label.models.em import Settings
from gristmill.label.votes import Votes


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `LabelModel.fit` learns; m sources, k classes.

    Attributes:
        names, fingerprints: of the sources it was fitted on.
        balance: k floats, P(class).
        log_emission: m x (k + 1) x k, log P(answer | class); the last answer is abstain.
        share: m floats, how much each source counts.
        copies: groups of sources that are copies of one another, by index.
        abstention: whether abstaining is evidence.
        gold_weight: how many rows a gold row counted for.
        temperature, trust: see `Calibration`.
        reason: why these settings.
        rounds, converged: of the fit.
        log_likelihood: penalised, at the end of the fit.
        rows: how many rows it was fitted on.
        votes: fingerprint of the votes it was fitted on.
        gold_rows, gold_codes: gold labels it was given, by position among those votes.
    """

    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    balance: tuple[float, ...]
    log_emission: tuple[tuple[tuple[float, ...], ...], ...]
    share: tuple[float, ...]
    copies: tuple[tuple[int, ...], ...]
    abstention: bool
    gold_weight: float
    temperature: float
    trust: float
    reason: str
    rounds: int
    converged: bool
    log_likelihood: float
    rows: int
    votes: str
    gold_rows: tuple[int, ...]
    gold_codes: tuple[int, ...]

    @property
    def emission_logs(self) -> NDArray[np.float64]:
        """`log_emission` as float64[m, k + 1, k]."""
        return np.array(self.log_emission)

    @property
    def settings(self) -> Settings:
        """How votes are read when classes are told from them."""
        logs = self.emission_logs
        return Settings(
            np.log(self.balance), np.zeros_like(logs), np.array(self.share), self.abstention
        )

    def columns_of(self, votes: Votes) -> NDArray[np.integer]:
        """Return the matrix of votes with the sources in the model's order.

        Raises:
            LabelError: the votes lack a source of the model, or have one that it does not know.
        """
        lacking = [name for name in self.names if name not in votes.names]
        unknown = [name for name in votes.names if name not in self.names]
        if lacking or unknown:
            found = [f"lack {', '.join(lacking)}"] if lacking else []
            found += [f"have {', '.join(unknown)}, unknown to it"] if unknown else []
            raise LabelError(
                f"the model was fitted on {len(self.names)} sources; these votes "
                + " and ".join(found),
                fix="fit again on votes of these sources",
            )
        if votes.names == self.names:
            return votes.matrix
        return votes.matrix[:, [votes.source(name) for name in self.names]]

    def gold_of(self, votes: Votes) -> NDArray[np.int64]:
        """Return the gold given to fit, int64[n], if these are the votes it was fitted on.

        Row ids alone do not tell: two tables may both count their rows from 0.
        """
        codes = np.full(len(votes), -1, np.int64)
        if self.gold_rows and votes.__fingerprint__() == self.votes:
            codes[list(self.gold_rows)] = self.gold_codes
        return codes
