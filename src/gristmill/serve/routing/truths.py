"""What `POST /v1/models/NAME/feedback` does: what is true of kept predictions, one or many.

    {"prediction_id": "p0123abcd-00000004d2a1b2c3d4e5-0", "label": "spam"}
    {"feedback": [{"prediction_id": "order-17", "label": "ham"}, ...], "who": "anna",
     "correction": true}

`prediction_id` is the name that the answer gave, or the user's own id. One piece is answered with
404 or 409 where nothing is kept of it; of many, each with what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.refusal import Refusal
from gristmill.serve.routing.feedback import (
    SHOWN,
    FeedbackRequest,
    FeedbackResult,
    answer_to,
    read_pieces,
)
from gristmill.serve.watch.prediction_records import Truth
from gristmill.serve.watch.truth_log import MEANING, MOST_OF_A_NAME, Telling, TellStatus

if TYPE_CHECKING:
    from gristmill.serve.routing.kept import Kept
    from gristmill.serve.selection.feedback_log import FeedbackLog


class TruthPiece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of one prediction.

    Attributes:
        prediction_id: as the answer named it, or the user's own id.
        label: what it should have been: a class name, or a value; None is refused.
        who: tells it.
        correction: whether a person looked at the prediction to say so.
    """

    prediction_id: str
    label: Truth | None
    who: str | None = None
    correction: bool | None = None


_ONE = msgspec.json.Decoder(TruthPiece)
_MANY = msgspec.json.Decoder(FeedbackRequest[TruthPiece])


def read_tellings(body: bytes) -> tuple[list[Telling], bool]:
    """Return what a request's body tells, and whether it is a list of pieces.

    Raises:
        Refusal: 400 no JSON, 413 too many pieces, 422 not of the form above.
    """
    request, many = read_pieces(
        body,
        _ONE,
        _MANY,
        wanted="a prediction_id with its true label",
        fix_of_many="send them in several requests, or use `gristmill feedback` on a file",
    )
    return [_telling(request, piece) for piece in request.feedback], many


async def told_truths(kept: Kept, logs: Sequence[FeedbackLog], body: bytes) -> bytes:
    """Answer the body of a request with the body of an answer (status 200).

    Args:
        kept: whose predictions are told of.
        logs: of policies that learn from the same truths, where the model is selected.
        body: as above.

    Raises:
        Refusal: as `read_tellings`; 404, 409 or 422 for a single piece of which nothing is kept;
            503 where it cannot be written.
    """
    tellings, many = read_tellings(body)
    try:
        statuses = await asyncio.to_thread(kept.tell, tellings)
        for telling, status in zip(tellings, statuses, strict=True):
            if status == "joined":
                _learn(logs, telling)
    except StoreError as error:
        headers = [("Retry-After", "10")]
        raise Refusal(503, "log_not_writable", error.message, headers=headers) from error
    results = [
        FeedbackResult(each.reference[:SHOWN], status, _message(status, each, kept.classes))
        for each, status in zip(tellings, statuses, strict=True)
    ]
    return answer_to(results, many=many)


def _telling(request: FeedbackRequest[TruthPiece], piece: TruthPiece) -> Telling:
    """Return what a piece tells.

    Raises:
        Refusal: 422, it tells nothing.
    """
    if piece.label is None:
        raise Refusal(
            422,
            "invalid_feedback",
            f"expected the true label of prediction {piece.prediction_id[:SHOWN]!r}, found null",
            fix="leave out predictions whose truth is not known",
        )
    who = request.who if piece.who is None else piece.who
    correction = request.correction if piece.correction is None else piece.correction
    return Telling(piece.prediction_id, piece.label, who, correction)


def _learn(logs: Sequence[FeedbackLog], telling: Telling) -> None:
    """Let the policy that chose who answered learn from the truth, where it can be compared."""
    for log in logs:
        if log.knows(telling.reference):
            with suppress(UsageError):  # answers that are no classes or numbers: it learns nothing
                log.feedback(telling.reference, truth=telling.truth)


def _message(status: TellStatus, telling: Telling, classes: Sequence[str]) -> str:
    if status == "invalid" and not telling.named_well:
        return f"expected a name of at most {MOST_OF_A_NAME} printable characters as `who`"
    if status != "invalid" or not classes:
        return MEANING[status]
    known = ", ".join(classes[:20])
    return f"expected one of the classes {known}, found {str(telling.truth)[:SHOWN]!r}"
