"""What a feedback log knows, for looking back at: outcomes, and predictions without any."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gristmill.core.errors import UsageError
from gristmill.serve.journal.segments import records_of, segment_files
from gristmill.serve.selection.log_records import Head, Joined, Predicted, decode
from gristmill.serve.selection.policy import Outcome


class LoggedOutcome(msgspec.Struct, frozen=True):
    """An outcome, and when it was known.

    Attributes:
        context: of the choice.
        outcome: what became of it.
        chosen: number of the prediction.
        told: number of the first prediction after its feedback; greater than `chosen`.
    """

    context: str
    outcome: Outcome
    chosen: int
    told: int


class LoggedData(msgspec.Struct, frozen=True):
    """The outcomes of a log.

    Attributes:
        members: names of the arms.
        outcomes: in the order in which feedback came.
        predicted: rows that were predicted.
    """

    members: tuple[str, ...]
    outcomes: list[LoggedOutcome]
    predicted: int

    @property
    def share_told(self) -> float:
        """The share of predicted rows that got feedback, in [0, 1].

        Where feedback depends on what was answered, a low share biases every estimate.
        """
        return min(1.0, len(self.outcomes) / self.predicted) if self.predicted else 0.0


def logged_data(folder: Path | str) -> LoggedData:
    """Read a feedback log; a server may be writing to it meanwhile.

    Outcomes of earlier members, where the newest segment has others, are left out.

    Raises:
        StoreError: a file is something else, or of another version.
        UsageError: there is no log.
    """
    folder = Path(folder)
    files = segment_files(folder)
    if not files:
        raise UsageError(
            "expected the folder of a feedback log, found none",
            where=str(folder),
            fix="name the folder that the server was given for its feedback",
        )
    found, latest = LoggedData((), [], 0), -1
    for path in files:
        for payload in records_of(path):
            record = decode(payload, folder)
            if isinstance(record, Head):
                latest = max(latest, record.first - 1)
                if record.members != found.members:
                    found = LoggedData(record.members, [], 0)
            elif isinstance(record, Predicted):
                latest = record.number
                found = msgspec.structs.replace(found, predicted=found.predicted + record.rows)
            elif isinstance(record, Joined):
                # A choice that failed has no number, and was told of at once.
                chosen = record.number if record.number >= 0 else latest
                outcome = LoggedOutcome(record.context, record.outcome, chosen, latest + 1)
                found.outcomes.append(outcome)
    return found
