"""What `POST /v1/feedback` does: feedback to the route whose log knows the prediction.

    {"feedback": [{"prediction_id": "p0123abcd-00000004d2a1b2c3d4e5-0", "loss": 0.25},
                  {"prediction_id": "p0123abcd-00000004d2a1b2c3d4e5-1", "label": "spam"}]}

Each piece is answered with what became of it: joined, repeated, expired, unknown, or invalid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.misfit import misfit
from gristmill.serve.refusal import Refusal
from gristmill.serve.selection.awaiting import JoinStatus
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.losses import Said

MOST_PIECES = 10_000
_SHOWN = 100

_MEANING: dict[str, str] = {
    "joined": "the policy has learnt from it",
    "repeated": "this prediction had its feedback already; nothing was learnt",
    "expired": "the prediction is too old, its record is gone; nothing was learnt",
    "unknown": "no such prediction was made here, or none whose feedback is awaited",
}


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How good one prediction was.

    Attributes:
        prediction_id: as the answer named it.
        loss: what it lost, in [0, 1]; or
        label: what it should have been: a class name, or a number where the model answers one.
    """

    prediction_id: str
    loss: float | None = None
    label: str | float | int | bool | None = None


class FeedbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request.

    Attributes:
        feedback: the pieces.
        who, correction: as they are told of kept predictions (see `truths`); no policy asks.
    """

    feedback: list[Feedback]
    who: str = ""
    correction: bool = False


class FeedbackResult(msgspec.Struct, frozen=True):
    """What became of one piece of feedback."""

    prediction_id: str
    status: JoinStatus | Literal["invalid"]
    message: str


class FeedbackResponse(msgspec.Struct, frozen=True):
    """The body of an answer: a result per piece, in order, and how many there are of each."""

    results: list[FeedbackResult]
    counts: dict[str, int]


_DECODER = msgspec.json.Decoder(FeedbackRequest)


def read_feedback(body: bytes) -> list[Feedback]:
    """Return the feedback in a request's body.

    Raises:
        Refusal: 400 no JSON, 413 too many pieces, 422 not of the form above.
    """
    try:
        found = _DECODER.decode(body).feedback
    except msgspec.ValidationError as error:
        raise Refusal(
            422,
            "invalid_feedback",
            f"expected a list of prediction_id with loss or label: {misfit(error)}",
            fix='send {"feedback": [{"prediction_id": "...", "loss": 0.0}]}',
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "invalid_json", f"the body is not JSON: {error}") from error
    if len(found) > MOST_PIECES:
        raise Refusal(
            413,
            "too_much_feedback",
            f"expected at most {MOST_PIECES} pieces of feedback, found {len(found)}",
            fix="send them in several requests",
        )
    return found


def give_feedback(logs: Sequence[FeedbackLog], pieces: Sequence[Feedback]) -> FeedbackResponse:
    """Join feedback to predictions.

    Args:
        logs: those of all routes that select a model.
        pieces: from `read_feedback`.

    Raises:
        Refusal: 404 no route of this server takes feedback, 503 a log cannot be written; the pieces
            before that one are joined and would be told as "repeated".
    """
    if not logs:
        raise Refusal(
            404,
            "no_feedback",
            "no route of this server learns from feedback",
            fix="serve several models with a selection policy; where predictions are kept "
            "(keep_predictions), tell /v1/models/NAME/feedback",
        )
    results = [_given(logs, piece) for piece in pieces]
    return FeedbackResponse(results, dict(Counter(each.status for each in results)))


def feedback(logs: Sequence[FeedbackLog], body: bytes) -> bytes:
    """Answer the body of a request with the body of an answer (status 200).

    Raises:
        Refusal: as `read_feedback` and `give_feedback` do.
    """
    return msgspec.json.encode(give_feedback(logs, read_feedback(body)))


def _given(logs: Sequence[FeedbackLog], piece: Feedback) -> FeedbackResult:
    name = piece.prediction_id
    # A name that nobody knows is counted by the first log, so that it is counted once.
    owner = next((log for log in logs if log.knows(name)), logs[0])
    truth: Said | None = piece.label
    try:
        status = owner.feedback(name, loss=piece.loss, truth=truth)
    except UsageError as error:
        owner.counts["invalid"] += 1
        return FeedbackResult(name[:_SHOWN], "invalid", error.message)
    except StoreError as error:
        raise Refusal(
            503, "log_not_writable", error.message, headers=[("Retry-After", "10")]
        ) from error
    return FeedbackResult(name[:_SHOWN], status, _MEANING[status])
